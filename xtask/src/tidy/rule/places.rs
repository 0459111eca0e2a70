//! Nothing in the tree knows the machine it was written on or where its packages came from.

use super::{Rule, Violation};
use crate::tidy::tree::{TextFile, Tree};

pub const RULE: Rule = Rule {
    name: "places",
    reason: "a clone must build anywhere, with nothing but the public registry or an offline copy",
    check,
};

/// Folders of somebody's machine; written in two parts, so that this file may hold them.
const FOLDERS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/")];

/// The one registry a lock file may name.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// How a package source is named in manifests, settings and lock files.
const SOURCES: &[&str] =
    &[concat!("regis", "try+"), concat!("spar", "se+"), concat!("replace", "-with")];

/// Hosts that only exist inside somebody's network.
const PRIVATE: &[&str] = &[concat!("artif", "actory"), concat!(".inter", "nal/")];

fn check(tree: &Tree) -> Vec<Violation> {
    tree.texts.iter().flat_map(check_file).collect()
}

fn check_file(file: &TextFile) -> Vec<Violation> {
    let mut found = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        if let Some(folder) = FOLDERS.iter().find(|folder| names_folder(line, folder)) {
            let what = format!("names a folder of one machine, `{folder}`");
            let remedy = "use a path relative to the repository, or an argument";
            found.push(RULE.broken(&file.path, index + 1, what, remedy));
        }
        let public = line.replace(REGISTRY, "");
        if SOURCES.iter().chain(PRIVATE).any(|source| public.contains(source)) {
            let what = "names a package source other than the public registry";
            let remedy = "leave mirrors to the settings of each machine";
            found.push(RULE.broken(&file.path, index + 1, what, remedy));
        }
    }
    found
}

/// Whether the line holds the folder as an absolute path, and not as a part of another.
fn names_folder(line: &str, folder: &str) -> bool {
    let part = |before: char| before.is_alphanumeric() || "._-~}>*)".contains(before);
    line.match_indices(folder).any(|(at, _)| !line[..at].ends_with(part))
}
