//! Who may use whom: the block in `ARCHITECTURE.md` against what cargo says.
//!
//! The map is a fenced block opened with three backticks and the word `edges`. A line in it reads
//! `market: wire`: the crate, a colon, and the crates of ours it may be built from (none is fine).
//! Every crate stands in it, no allowed edge closes a ring, and no real chain is longer than
//! [`DEPTH_MAX`]. Dev-dependencies are free as long as they close no ring either.

use std::collections::BTreeMap;

use super::{Rule, Violation};
use crate::tidy::metadata::Package;
use crate::tidy::tree::Tree;

pub const RULE: Rule = Rule {
    name: "edges",
    reason: "a room that may use every other is no room, and a map is only true if it is checked",
    check,
};

/// Where the map is.
const MAP: &str = "ARCHITECTURE.md";

/// The longest chain of our crates, both ends counted.
const DEPTH_MAX: usize = 6;

/// A crate's neighbours by its name.
type Graph = BTreeMap<String, Vec<String>>;

fn check(tree: &Tree) -> Vec<Violation> {
    let Some((allowed, lines)) = read_map(tree) else {
        let what = "there is no ```edges block";
        return vec![RULE.broken(
            MAP,
            1,
            what,
            "write one line `crate: crate crate` for each crate",
        )];
    };
    let mut found = Vec::new();
    for package in &tree.packages {
        found.extend(against_map(tree, package, &allowed));
    }
    for (name, line) in &lines {
        if !tree.packages.iter().any(|package| &package.name == name) {
            let what = format!("`{name}` is no crate of the workspace");
            found.push(RULE.broken(MAP, *line, what, "take the line out of the edges block"));
        }
    }
    let first = lines.values().min().copied().unwrap_or(1);
    if let Some(ring) = ring(&allowed) {
        let what = format!("the allowed edges close a ring: {}", ring.join(" > "));
        found.push(RULE.broken(MAP, first, what, "turn one of them around"));
    }
    found.extend(real_shape(&tree.packages, first));
    found
}

/// The allowed edges, and the line of each crate.
fn read_map(tree: &Tree) -> Option<(Graph, BTreeMap<String, usize>)> {
    let text = &tree.text(MAP)?.text;
    let start = text.lines().position(|line| line.trim() == "```edges")?;
    let mut allowed = Graph::new();
    let mut lines = BTreeMap::new();
    for (index, line) in text.lines().enumerate().skip(start + 1) {
        if line.trim_start().starts_with("```") {
            break;
        }
        if let Some((name, uses)) = line.split_once(':') {
            let uses = uses.split([' ', ',']).map(str::trim).filter(|word| !word.is_empty());
            allowed.insert(name.trim().to_owned(), uses.map(str::to_owned).collect());
            lines.insert(name.trim().to_owned(), index + 1);
        }
    }
    Some((allowed, lines))
}

fn against_map(tree: &Tree, package: &Package, allowed: &Graph) -> Vec<Violation> {
    let manifest = &package.manifest;
    let Some(may) = allowed.get(&package.name) else {
        let what = format!("`{}` does not stand in the edges block of {MAP}", package.name);
        return vec![RULE.broken(manifest, 1, what, "add its line, or fold it into a room")];
    };
    let forbidden = package.uses.iter().filter(|other| !may.contains(other));
    let explain = |other: &String| {
        let what = format!("`{}` may not use `{other}`", package.name);
        let line = line_of(tree, manifest, other);
        RULE.broken(manifest, line, what, "take it as an argument, or change the map and say why")
    };
    forbidden.map(explain).collect()
}

/// Rings through tests, and chains that are too long.
fn real_shape(packages: &[Package], line: usize) -> Vec<Violation> {
    let mut found = Vec::new();
    let with_tests = |package: &Package| {
        let all = package.uses.iter().chain(&package.tests_use).cloned().collect();
        (package.name.clone(), all)
    };
    if let Some(ring) = ring(&packages.iter().map(with_tests).collect()) {
        let what = format!("dependencies close a ring: {}", ring.join(" > "));
        found.push(RULE.broken(MAP, line, what, "move the test to the upper crate"));
        return found;
    }
    let real: Graph = packages.iter().map(|one| (one.name.clone(), one.uses.clone())).collect();
    let longest = real.keys().map(|name| longest_chain(&real, name)).max_by_key(Vec::len);
    if let Some(chain) = longest.filter(|chain| chain.len() > DEPTH_MAX) {
        let what = format!("{} crates in one chain: {}", chain.len(), chain.join(" > "));
        found.push(RULE.broken(MAP, line, what, "keep the chain at 6 crates or fewer"));
    }
    found
}

/// Some way from a crate back to itself.
fn ring(graph: &Graph) -> Option<Vec<String>> {
    let mut done = Vec::new();
    graph.keys().find_map(|name| ring_from(graph, name, &mut Vec::new(), &mut done))
}

fn ring_from(
    graph: &Graph,
    name: &str,
    way: &mut Vec<String>,
    done: &mut Vec<String>,
) -> Option<Vec<String>> {
    if let Some(start) = way.iter().position(|earlier| earlier == name) {
        let mut ring = way[start..].to_vec();
        ring.push(name.to_owned());
        return Some(ring);
    }
    if done.iter().any(|other| other == name) {
        return None;
    }
    way.push(name.to_owned());
    let next = graph.get(name).into_iter().flatten();
    let ring = next.into_iter().find_map(|other| ring_from(graph, other, way, done));
    way.pop();
    done.push(name.to_owned());
    ring
}

/// The longest chain that begins at `name`; the graph must have no ring.
fn longest_chain(graph: &Graph, name: &str) -> Vec<String> {
    let next = graph.get(name).into_iter().flatten();
    let rest = next.map(|other| longest_chain(graph, other)).max_by_key(Vec::len);
    let mut chain = vec![name.to_owned()];
    chain.extend(rest.unwrap_or_default());
    chain
}

/// The line of the manifest that names the dependency.
fn line_of(tree: &Tree, manifest: &str, other: &str) -> usize {
    let names = |line: &str| {
        let key = line.trim_start().split(['.', ' ', '=']).next().unwrap_or_default();
        key == other || key.strip_prefix("mutirao-") == Some(other)
    };
    let text = tree.text(manifest).map(|file| file.text.as_str()).unwrap_or_default();
    text.lines().position(names).map_or(1, |index| index + 1)
}
