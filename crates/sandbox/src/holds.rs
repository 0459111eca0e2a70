//! What holds on a system, as types and in words for people.

use std::fmt;

/// How far files are guarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Files {
    /// Nothing is opened, changed or removed outside the rules.
    Whole {
        /// The interface of Landlock that guards.
        abi: i32,
    },
    /// As whole, but what may be read may also be emptied.
    Partly {
        /// The interface of Landlock that guards.
        abi: i32,
    },
    /// Nothing guards, and why.
    Not(String),
}

impl fmt::Display for Files {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Files::Whole { abi } => write!(out, "Landlock ABI {abi}"),
            Files::Partly { abi } => write!(out, "Landlock ABI {abi} (cannot stop truncation)"),
            Files::Not(why) => write!(out, "not guarded ({why})"),
        }
    }
}

/// Whether system calls are guarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Calls {
    /// All but a short list are refused.
    Filtered,
    /// Nothing guards, and why.
    Not(String),
}

impl fmt::Display for Calls {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Calls::Filtered => out.write_str("seccomp"),
            Calls::Not(why) => write!(out, "not guarded ({why})"),
        }
    }
}

/// What the kernel offers to whoever wants to confine itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// Name and release of the system.
    pub kernel: String,
    /// How far files would be guarded.
    pub files: Files,
    /// Whether system calls would be.
    pub calls: Calls,
}

impl Offered {
    /// One line for a person.
    pub fn words(&self) -> String {
        format!("{}; files: {}, system calls: {}", self.kernel, self.files, self.calls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_an_early_landlock_cannot_do() {
        let partly = Files::Partly { abi: 2 };
        assert_eq!(partly.to_string(), "Landlock ABI 2 (cannot stop truncation)");
        assert_eq!(Files::Whole { abi: 3 }.to_string(), "Landlock ABI 3");
    }

    #[test]
    fn says_in_one_line_what_is_offered_and_what_is_not() {
        let offered = Offered {
            kernel: "Linux 5.4".to_owned(),
            files: Files::Not("no Landlock".to_owned()),
            calls: Calls::Filtered,
        };
        let words = "Linux 5.4; files: not guarded (no Landlock), system calls: seccomp";
        assert_eq!(offered.words(), words);
    }
}
