//! Plants one violation after another in a scratch workspace and sees each of them named.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::check;
use super::lexer::{Kind, lex};
use super::rule::{RULES, Violation};

/// A tidy workspace of four rooms; each test plants its own weed in it.
struct Garden(TempDir);

const WIRE: &str = "//! The words all sides share.\n#![forbid(unsafe_code)]\n\npub mod amount;\n";

const AMOUNT: &str = "\
//! Amounts, in base units.

/// Adds, or says that the sum is too large.
pub fn add(left: u64, right: u64) -> Option<u64> {
    left.checked_add(right) // spec: WIRE-1.1
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    // spec: WIRE-1.1
    #[test]
    fn refuses_a_sum_that_is_too_large() {
        let started = std::time::Instant::now();
        let half = 0.5f64;
        assert!(super::add(u64::MAX, 1).is_none());
    }
}
";

const MAP: &str = "\
# Map

```edges
wire:
engine: wire
net: wire
cli: wire engine net
```
";

impl Garden {
    fn new() -> Garden {
        let garden = Garden(tempfile::tempdir().expect("a scratch folder"));
        garden.plant("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"crates/*\"]\n");
        garden.plant("ARCHITECTURE.md", MAP);
        garden.plant("docs/spec/wire.md", "# Wire\n\n**WIRE-1.1** A sum never wraps.\n");
        garden.room("wire", &[], "lib.rs", WIRE);
        garden.plant("crates/wire/src/amount.rs", AMOUNT);
        garden.room("engine", &["wire"], "lib.rs", "//! Runs a model.\n\npub mod kernel;\n");
        let kernel =
            "//! The fast path.\n\npub fn first(row: &[u8]) -> u8 {\n    unsafe { *row }\n}\n";
        garden.plant("crates/engine/src/kernel.rs", kernel);
        garden.room("net", &["wire"], "lib.rs", "//! Reaches a key.\n#![forbid(unsafe_code)]\n");
        let cli =
            "//! The program itself.\n#![forbid(unsafe_code)]\n\nfn main() {\n    println!();\n}\n";
        garden.room("cli", &["wire", "engine"], "main.rs", cli);
        garden
    }

    fn plant(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a new folder");
        fs::write(path, text).expect("a new file");
    }

    fn room(&self, name: &str, uses: &[&str], root: &str, text: &str) {
        self.plant(&format!("crates/{name}/Cargo.toml"), &manifest(name, uses, &[]));
        self.plant(&format!("crates/{name}/src/{root}"), text);
    }

    fn violations(&self) -> Vec<Violation> {
        check(self.0.path()).expect("a workspace that can be read")
    }

    /// Sees that exactly the rule called `rule` complains, first at `place`, and says `what`.
    #[track_caller]
    fn complains(&self, rule: &str, place: &str, what: &str) {
        let all: Vec<String> = self.violations().iter().map(ToString::to_string).collect();
        let all = all.join("\n");
        let wanted = format!("{place}: [{rule}] ");
        let hit = all.lines().find(|line| line.starts_with(&wanted) && line.contains(what));
        assert!(hit.is_some(), "no `{wanted}… {what}` in:\n{all}");
        let others = all.lines().filter(|line| !line.contains(&format!(": [{rule}] ")));
        assert_eq!(others.count(), 0, "another rule complained as well:\n{all}");
    }
}

fn manifest(name: &str, uses: &[&str], tests_use: &[&str]) -> String {
    let entry = |other: &&str| format!("mutirao-{other} = {{ path = \"../../crates/{other}\" }}\n");
    let uses: String = uses.iter().map(entry).collect();
    let tests_use: String = tests_use.iter().map(entry).collect();
    format!(
        "[package]\nname = \"mutirao-{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
         [dependencies]\n{uses}\n[dev-dependencies]\n{tests_use}"
    )
}

#[test]
fn finds_nothing_in_a_tidy_tree() {
    assert_eq!(Garden::new().violations(), []);
}

#[test]
fn says_the_place_the_rule_and_the_remedy_of_a_violation() {
    let garden = Garden::new();
    garden.plant("crates/net/src/utils.rs", "//! All kinds of things.\n");
    let found = garden.violations();
    let text: Vec<String> = found.iter().map(ToString::to_string).collect();
    let wanted = "crates/net/src/utils.rs:1: [names] `utils` in the path — \
                  name it after the one thing it does";
    assert_eq!(text, [wanted]);
}

#[test]
fn gives_every_rule_a_name_of_its_own_and_a_reason() {
    for (index, rule) in RULES.iter().enumerate() {
        assert!(rule.reason.len() > 20, "{} has no reason", rule.name);
        assert!(RULES[index + 1..].iter().all(|other| other.name != rule.name));
    }
}

#[test]
fn refuses_an_edge_the_map_does_not_allow() {
    let garden = Garden::new();
    garden.room("net", &["engine", "wire"], "lib.rs", "//! The net.\n#![forbid(unsafe_code)]\n");
    garden.complains("edges", "crates/net/Cargo.toml:7", "`net` may not use `engine`");
}

#[test]
fn refuses_a_crate_the_map_does_not_know() {
    let garden = Garden::new();
    garden.room("proof", &["wire"], "lib.rs", "//! Proves a run.\n#![forbid(unsafe_code)]\n");
    garden.complains("edges", "crates/proof/Cargo.toml:1", "`proof` does not stand");
}

#[test]
fn refuses_a_map_with_a_crate_that_is_gone_and_a_tree_without_a_map() {
    let garden = Garden::new();
    garden.plant("ARCHITECTURE.md", &MAP.replace("net: wire\n", "net: wire\nledger: wire\n"));
    garden.complains("edges", "ARCHITECTURE.md:7", "`ledger` is no crate");
    garden.plant("ARCHITECTURE.md", "# No map\n");
    garden.complains("edges", "ARCHITECTURE.md:1", "no ```edges block");
}

#[test]
fn refuses_a_ring_in_the_map_and_a_ring_through_tests() {
    let garden = Garden::new();
    garden.plant("ARCHITECTURE.md", &MAP.replace("wire:\n", "wire: engine\n"));
    garden.complains("edges", "ARCHITECTURE.md:4", "wire > engine > wire");
    garden.plant("ARCHITECTURE.md", MAP);
    garden.plant("crates/wire/Cargo.toml", &manifest("wire", &[], &["wire"]));
    assert_eq!(garden.violations(), [], "a crate may test itself with its own features");
    garden.plant("crates/wire/Cargo.toml", &manifest("wire", &[], &["net"]));
    garden.complains("edges", "ARCHITECTURE.md:4", "wire > net > wire");
}

#[test]
fn refuses_a_chain_of_seven_crates() {
    let garden = Garden::new();
    let mut map = MAP.replace("```edges\n", "```edges\na: wire\n");
    garden.room("a", &["wire"], "lib.rs", "//! Room a.\n#![forbid(unsafe_code)]\n");
    for (name, below) in [("b", "a"), ("c", "b"), ("d", "c"), ("e", "d")] {
        let root = format!("//! Room {name}.\n#![forbid(unsafe_code)]\n");
        garden.room(name, &[below], "lib.rs", &root);
        map = map.replace("```edges\n", &format!("```edges\n{name}: {below}\n"));
    }
    garden.plant("ARCHITECTURE.md", &map);
    assert_eq!(garden.violations(), [], "six are allowed");
    garden.room("f", &["e"], "lib.rs", "//! Room f.\n#![forbid(unsafe_code)]\n");
    garden.plant("ARCHITECTURE.md", &map.replace("```edges\n", "```edges\nf: e\n"));
    garden.complains("edges", "ARCHITECTURE.md:4", "7 crates in one chain: f > e > d > c > b > a");
}

#[test]
fn refuses_what_is_impure_in_law_however_it_is_spelled() {
    let weeds = [
        ("use std::collections::HashMap;", "`HashMap`"),
        ("use std::{fmt, fs::File};", "`std::fs`"),
        ("use std::{fmt::{self, Display}, time};", "`std::time`"),
        ("const NAME: Option<&str> = ::std::env::var;", "`std::env`"),
        ("fn at() { std :: thread :: spawn(go); }", "`std::thread`"),
        ("fn at() { tokio::spawn(go()); }", "`tokio`"),
        ("fn at() { rand::rng(); }", "`rand::rng`"),
        ("async fn at() {}", "`async`"),
    ];
    for (weed, what) in weeds {
        let garden = Garden::new();
        garden.plant("crates/wire/src/weed.rs", &format!("//! Planted here.\n\n{weed}\n"));
        garden.complains("purity", "crates/wire/src/weed.rs:3", what);
        garden.plant("crates/wire/src/weed.rs", "//! Pulled out.\n");
        garden.plant("crates/net/src/weed.rs", &format!("//! Planted here.\n\n{weed}\n"));
        assert_eq!(garden.violations(), [], "machines may: {weed}");
    }
}

#[test]
fn takes_words_in_comments_strings_and_own_modules_for_no_code() {
    let garden = Garden::new();
    let text = "\
//! Not a `HashMap` and not f32; `unsafe` is far away.

/* println!(\"{}\", 1.5) /* nested */ std::fs */
/// Says \"use std::time::Instant\" and 2.5.
pub const TEXT: &str = r#\"unsafe { \"HashMap\" }\"#;
pub const QUOTE: char = '\"';
pub const LETTERS: &[u8] = b\"std::env \\\" f64\";

fn own(fs: crate::fs::Room, pair: &(u8, (u8, u8))) -> u8 {
    let range = 0..10;
    fs.time(pair.1.0, 0x1e5, range)
}
";
    garden.plant("crates/wire/src/quoted.rs", text);
    assert_eq!(garden.violations(), []);
}

#[test]
fn refuses_floats_in_law_outside_their_rooms() {
    for weed in ["f32", "1.5", "1e-3", "2.", "7f64", "0..1.5", "value.as_f64()"] {
        let garden = Garden::new();
        let text = format!("//! Planted here.\n\nfn half() {{\n    let x = {weed};\n}}\n");
        for room in ["crates/engine/src/load/quantise/row.rs", "crates/net/src/weed.rs"] {
            garden.plant(room, &text);
        }
        assert_eq!(garden.violations(), [], "floats are at home there: {weed}");
        garden.plant("crates/engine/src/load.rs", &text);
        garden.complains("floats", "crates/engine/src/load.rs:4", "in a law crate");
    }
}

#[test]
fn refuses_unsafe_code_outside_the_kernels() {
    let garden = Garden::new();
    let text = "//! Planted here.\n\npub fn go() {\n    unsafe { leap() }\n}\n";
    garden.plant("crates/engine/src/kernels.rs", text);
    garden.complains("unsafe", "crates/engine/src/kernels.rs:4", "outside engine::kernel");
}

#[test]
fn refuses_a_crate_root_that_does_not_forbid_unsafe_code() {
    let garden = Garden::new();
    garden.plant("crates/net/src/lib.rs", "//! Forgot it: #![forbid(unsafe_code)]\n");
    garden.complains("unsafe", "crates/net/src/lib.rs:1", "does not forbid");
}

#[test]
fn refuses_a_clause_without_code_or_without_a_test() {
    let garden = Garden::new();
    let spec = "# Wire\n\n- **WIRE-1.1** A sum never wraps.\n\n**WIRE-1.2 Zero.** Allowed.\n";
    garden.plant("docs/spec/wire.md", spec);
    garden.complains("clauses", "docs/spec/wire.md:5", "no code cites `WIRE-1.2`");
    garden.complains("clauses", "docs/spec/wire.md:5", "no test cites `WIRE-1.2`");
    garden.plant("crates/wire/src/zero.rs", "//! The zero amount.\n// spec: WIRE-1.1, WIRE-1.2\n");
    garden.complains("clauses", "docs/spec/wire.md:5", "no test cites `WIRE-1.2`");
    garden.plant("crates/wire/tests/it.rs", "//! Tries the amounts.\n// spec: WIRE-1.2.\n");
    assert_eq!(garden.violations(), []);
}

#[test]
fn refuses_a_citation_of_nothing_and_a_clause_defined_twice() {
    let garden = Garden::new();
    garden.plant("crates/wire/src/zero.rs", "//! The zero amount.\n\n// spec: WIRE-9\n");
    garden.complains("clauses", "crates/wire/src/zero.rs:3", "cites `WIRE-9`");
    garden.plant("crates/wire/src/zero.rs", "//! The zero amount.\n");
    let spec = "**WIRE-1.1** A sum.\n\n```\n**WIRE-7** example\n```\n\n1. **WIRE-1.1** Again.\n";
    garden.plant("docs/spec/wire.md", spec);
    garden.complains("clauses", "docs/spec/wire.md:7", "`WIRE-1.1` is defined a second time");
}

#[test]
fn refuses_a_file_that_is_too_long_but_leaves_its_tests_apart() {
    let garden = Garden::new();
    let with = |lines: usize, tests: usize| {
        let code = "pub const A: u8 = 0;\n".repeat(lines - 1);
        let tests = "    const B: u8 = 0;\n".repeat(tests);
        format!("//! A long list.\n{code}#[cfg(test)]\nmod tests {{\n{tests}}}\n")
    };
    garden.plant("crates/wire/src/list.rs", &with(600, 200));
    assert_eq!(garden.violations(), []);
    garden.plant("crates/wire/src/list.rs", &with(601, 200));
    garden.complains("size", "crates/wire/src/list.rs:1", "601 lines, at most 600");
    garden.plant("crates/wire/src/list.rs", &with(10, 300));
    garden.complains("size", "crates/wire/src/list.rs:11", "303 lines of tests");
    garden.plant("crates/wire/src/list.rs", "//! A long list.\n");
    garden.plant("crates/wire/src/list/tests.rs", &with(1200, 200));
    assert_eq!(garden.violations(), []);
    garden.plant("crates/wire/src/list/tests.rs", &with(1400, 200));
    garden.complains("size", "crates/wire/src/list/tests.rs:1", "1603 lines, at most 1500");
}

#[test]
fn refuses_a_function_that_is_too_long_and_a_line_that_is_too_wide() {
    let garden = Garden::new();
    let with = |lines: usize| {
        let body = "    step('{');\n".repeat(lines - 2);
        format!("//! A long way.\n\npub fn walk(f: [u8; {{ 1 }}]) -> fn() {{\n{body}}}\n")
    };
    garden.plant("crates/wire/src/walk.rs", &with(70));
    assert_eq!(garden.violations(), []);
    garden.plant("crates/wire/src/walk.rs", &with(71));
    garden.complains("size", "crates/wire/src/walk.rs:3", "`walk` has 71 lines, at most 70");
    garden.plant("crates/wire/src/walk.rs", &format!("//! A wide line.\n// {}\n", "ã".repeat(98)));
    garden.complains("size", "crates/wire/src/walk.rs:2", "101 columns, at most 100");
}

#[test]
fn refuses_a_file_without_a_word_on_what_it_is() {
    let garden = Garden::new();
    garden.plant("crates/net/src/link.rs", "pub struct Link;\n");
    garden.complains("shape", "crates/net/src/link.rs:1", "does not open with `//!`");
}

#[test]
fn refuses_a_mod_rs_and_logic_in_a_lib_rs() {
    let garden = Garden::new();
    garden.plant("crates/net/src/link/mod.rs", "//! A link to a peer.\n");
    garden.complains("shape", "crates/net/src/link/mod.rs:1", "a module in a `mod.rs`");
    fs::remove_dir_all(garden.0.path().join("crates/net/src/link")).expect("it was planted");
    let root = "//! Reaches a key.\n#![forbid(unsafe_code)]\ntype F = fn();\npub fn dial() {}\n";
    garden.plant("crates/net/src/lib.rs", root);
    garden.complains("shape", "crates/net/src/lib.rs:4", "`fn dial` in lib.rs");
}

#[test]
fn refuses_printing_outside_the_door() {
    let garden = Garden::new();
    let text = "//! Says something.\n\nfn say() {\n    eprintln!(\"here\");\n}\n";
    garden.plant("crates/net/examples/say.rs", text);
    garden.plant("crates/cli/src/say.rs", text);
    assert_eq!(garden.violations(), []);
    garden.plant("crates/net/src/say.rs", text);
    garden.complains("prints", "crates/net/src/say.rs:4", "`eprintln!` outside the door");
}

#[test]
fn refuses_names_that_say_nothing() {
    let garden = Garden::new();
    garden.plant("crates/net/src/link.rs", "//! A link to a peer.\n\nmod helpers {}\n");
    garden.complains("names", "crates/net/src/link.rs:3", "a module called `helpers`");
    garden.plant("crates/net/src/link.rs", "//! A link to a peer.\n");
    garden.plant("crates/net/src/common/link.rs", "//! A link to a peer.\n");
    garden.complains("names", "crates/net/src/common/link.rs:1", "`common` in the path");
}

#[test]
fn refuses_a_promise_without_an_issue() {
    let garden = Garden::new();
    let note = |note: &str| format!("//! A link to a peer.\n\n// {note}\n");
    for kept in ["TODO(#12): retry", "method TODOS", "no-op"] {
        garden.plant("crates/net/src/link.rs", &note(kept));
        assert_eq!(garden.violations(), [], "{kept}");
    }
    for broken in ["TODO retry", "TODO(me): retry", "FIXME(#1)", "XXX"] {
        garden.plant("crates/net/src/link.rs", &note(broken));
        garden.complains("todos", "crates/net/src/link.rs:3", "without an issue");
    }
    garden.plant("crates/net/src/link.rs", &note("done"));
    garden.plant("tests/scripts/demo.sh", "#!/bin/sh\n# TODO later\n");
    garden.complains("todos", "tests/scripts/demo.sh:2", "without an issue");
}

#[test]
fn refuses_folders_and_package_sources_of_one_machine() {
    let garden = Garden::new();
    let registry = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
    garden.plant("Cargo.lock", registry);
    garden.plant("docs/guide/paths.md", "See https://example.org/work/a and crates/work/b.\n");
    assert_eq!(garden.violations(), []);
    let weeds = [
        ("docs/guide/start.md", concat!("Go to `/wo", "rk/main` first.\n"), "a folder"),
        ("models/card.json", concat!("{\"made_in\": \"/ro", "ot/lab\"}\n"), "a folder"),
        ("Cargo.lock", concat!("source = \"regis", "try+https://mirror/index\"\n"), "a package"),
        (".cargo/config.toml", concat!("replace", "-with = \"mirror\"\n"), "a package"),
    ];
    for (path, text, what) in weeds {
        let garden = Garden::new();
        garden.plant(path, text);
        garden.complains("places", &format!("{path}:1"), what);
    }
}

#[test]
fn treats_what_a_test_module_pulls_in_as_test_code() {
    let garden = Garden::new();
    garden.plant("crates/wire/src/offer.rs", "//! Offers.\n//! All.\n\n#[cfg(test)]\nmod arb;\n");
    let weed = "//! Makes offers up.\n\nuse std::collections::HashSet;\nconst HALF: f64 = 0.5;\n";
    garden.plant("crates/wire/src/offer/arb.rs", weed);
    garden.complains("shape", "crates/wire/src/offer.rs:1", "does not open");
    garden.plant("crates/wire/src/offer.rs", "//! All offers.\n\n#[cfg(test)]\nmod arb;\n");
    assert_eq!(garden.violations(), []);
    garden.plant("crates/wire/src/offer.rs", "//! All offers.\n\n#[cfg(not(test))]\nmod arb;\n");
    let rules: Vec<&str> = garden.violations().iter().map(|violation| violation.rule).collect();
    assert_eq!(rules, ["purity", "floats", "floats"]);
}

#[test]
fn knows_every_way_to_say_that_code_is_a_test() {
    let tests = [
        "#[test]\nfn f() { @ }",
        "#[tokio::test(start_paused = true)]\nasync fn f() { @ }",
        "#[cfg(all(test, unix))]\n#[allow(dead_code)]\nmod tests { @ }",
        "#[cfg(feature = \"testing\")]\npub use a::@;",
        "struct S {\n    #[cfg(test)]\n    field: @,\n    other: u8,\n}",
        "struct S {\n    #[cfg(test)]\n    field: @\n}",
        "#![cfg(test)]\nfn f() { @ }",
    ];
    let code = [
        "#[cfg(unix)]\nfn f() { @ }",
        "#[cfg(not(test))]\nfn f() { @ }",
        "#![cfg_attr(test, allow(dead_code))]\nfn f() { @ }",
        "#[cfg(test)]\nuse a::b;\nfn f() { @ }",
        "struct S {\n    #[cfg(test)]\n    field: u8\n}\nfn f() { @ }",
    ];
    let weed_is_test = |source: &str| {
        let (mut tokens, mut comments) = lex(&source.replace('@', "weed"));
        let regions = super::region::mark(&mut tokens, &mut comments);
        let weed = tokens.iter().find(|token| token.is_word("weed")).expect("it was planted");
        weed.test || regions.whole
    };
    assert!(tests.iter().all(|source| weed_is_test(source)));
    assert!(!code.iter().any(|source| weed_is_test(source)));
}

#[test]
fn leaves_build_folders_and_bytes_that_are_no_text_alone() {
    let garden = Garden::new();
    garden.plant("target/debug/mod.rs", "unsafe");
    garden.plant("elsewhere/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n");
    garden.plant("elsewhere/mod.rs", "unsafe");
    garden.plant(".git/mod.rs", "unsafe");
    fs::write(garden.0.path().join("model.bin"), b"/\xffbytes").expect("a new file");
    assert_eq!(garden.violations(), []);
}

#[test]
fn says_why_a_tree_that_is_no_workspace_cannot_be_read() {
    let empty = tempfile::tempdir().expect("a scratch folder");
    let error = check(empty.path()).expect_err("there is no manifest");
    assert!(error.to_string().contains("cargo metadata failed"), "{error}");
    let error = check(Path::new("no/such/folder")).expect_err("there is no folder");
    assert!(error.to_string().contains("no/such/folder"), "{error}");
}

#[test]
fn tells_numbers_names_literals_and_lifetimes_apart() {
    let source =
        "let r#type = b'\\''; 'a: x.0.1 ..= 1.5e-3f32 1..2 1.max(2) br##\"a\"#b\"## c\"x\"";
    let (tokens, comments) = lex(source);
    let of = |kind: Kind| -> Vec<&str> {
        tokens.iter().filter(|token| token.kind == kind).map(|token| &*token.text).collect()
    };
    assert_eq!(of(Kind::Number), ["0", "1", "1.5e-3f32", "1", "2", "1", "2"]);
    assert_eq!(of(Kind::Word), ["let", "type", "x", "max"]);
    assert_eq!(of(Kind::Literal), ["b'\\''", "br##\"a\"#b\"", "c\"x\""]);
    assert_eq!(of(Kind::Lifetime), ["'a"]);
    assert!(comments.is_empty());
}

#[test]
fn survives_source_that_ends_in_the_middle_of_anything() {
    let source = format!("#[cfg(test)] {AMOUNT} #![x] r#\"raw\"# /* open */ '\\n' {{ ( [");
    for end in (0..source.len()).filter(|end| source.is_char_boundary(*end)) {
        let (mut tokens, mut comments) = lex(&source[..end]);
        super::region::mark(&mut tokens, &mut comments);
    }
}
