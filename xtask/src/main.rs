//! Project chores behind `cargo xtask <chore>`: what a machine can check or do for us.
//!
//! A rule without a check is only a hope, so the rules of the style guide live here as code
//! (`tidy`), next to the long suites that are too slow for every push (`slow`). A new chore is one
//! line in `CHORES` and one module.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "chores report to a person")]

mod bench;
mod fuzz;
mod slow;
mod tidy;

use std::process::ExitCode;

/// A chore gets the words after its name and says whether all is well.
struct Chore {
    name: &'static str,
    usage: &'static str,
    run: fn(&[String]) -> anyhow::Result<bool>,
}

/// Every chore there is, in the order `cargo xtask help` shows them.
const CHORES: &[Chore] = &[
    Chore {
        name: "tidy",
        usage: "tidy [root]   check the rules of CONTRIBUTING.md over the tree",
        run: tidy::main,
    },
    Chore {
        name: "slow",
        usage: "slow [words]  run every test, the long ones too; words go to cargo test",
        run: slow::main,
    },
    Chore {
        name: "fuzz",
        usage: "fuzz [--minutes N] [target …]  search for inputs that break what must hold",
        run: fuzz::main,
    },
    Chore {
        name: "bench",
        usage: "bench llama [--rounds N] [--threads 1,2] [--folder PATH]  beside llama.cpp",
        run: bench::main,
    },
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = words.split_first() else {
        return help(ExitCode::from(2));
    };
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        return help(ExitCode::SUCCESS);
    }
    let Some(chore) = CHORES.iter().find(|chore| chore.name == name) else {
        eprintln!("no chore is called `{name}`");
        return help(ExitCode::from(2));
    };
    match (chore.run)(rest) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn help(code: ExitCode) -> ExitCode {
    println!("cargo xtask <chore>");
    for chore in CHORES {
        println!("  {}", chore.usage);
    }
    code
}
