//! Asks cargo which crates the workspace has and who depends on whom.
//!
//! Cargo is the only honest source: a manifest may rename a dependency or inherit it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;

/// One crate of the workspace.
#[derive(Debug)]
pub struct Package {
    /// Its name without the `mutirao-` all of ours share.
    pub name: String,
    /// Its manifest, relative to the root.
    pub manifest: String,
    /// Crates of ours it is built from, sorted.
    pub uses: Vec<String>,
    /// Crates of ours only its tests use, itself left out, sorted.
    pub tests_use: Vec<String>,
    /// Root files of its library and programs, relative to the workspace root.
    pub roots: Vec<String>,
}

/// Reads the workspace under `root` with `cargo metadata`; resolves nothing, needs no network.
pub fn packages(root: &Path) -> anyhow::Result<Vec<Package>> {
    let output = Command::new(super::cargo())
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("cannot start cargo metadata")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo metadata failed: {}", complaint.trim());
    let all: Value = serde_json::from_slice(&output.stdout).context("cargo metadata is no JSON")?;
    let list = all["packages"].as_array().context("cargo metadata lists no packages")?;
    list.iter().map(|package| read(root, package)).collect()
}

fn read(root: &Path, package: &Value) -> anyhow::Result<Package> {
    let name = text(package, "name")?;
    let mut found = Package {
        name: short(name).to_owned(),
        manifest: relative(root, text(package, "manifest_path")?)?,
        uses: Vec::new(),
        tests_use: Vec::new(),
        roots: Vec::new(),
    };
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let other = short(text(dependency, "name")?).to_owned();
        if dependency["path"].is_null() {
            continue;
        }
        match dependency["kind"].as_str() {
            Some("dev") if other == found.name => {}
            Some("dev") => found.tests_use.push(other),
            _ => found.uses.push(other),
        }
    }
    for target in package["targets"].as_array().into_iter().flatten() {
        let kinds = target["kind"].as_array().into_iter().flatten();
        let wanted = |kind: &Value| matches!(kind.as_str(), Some("lib" | "rlib" | "bin"));
        if kinds.into_iter().any(wanted) {
            found.roots.push(relative(root, text(target, "src_path")?)?);
        }
    }
    found.uses.sort();
    found.tests_use.sort();
    Ok(found)
}

fn text<'a>(value: &'a Value, field: &str) -> anyhow::Result<&'a str> {
    value[field].as_str().with_context(|| format!("cargo metadata gives no `{field}`"))
}

fn short(name: &str) -> &str {
    name.strip_prefix("mutirao-").unwrap_or(name)
}

fn relative(root: &Path, path: &str) -> anyhow::Result<String> {
    let inside = Path::new(path).strip_prefix(root);
    let inside = inside.with_context(|| format!("{path} lies outside {}", root.display()))?;
    Ok(inside.to_string_lossy().replace('\\', "/"))
}
