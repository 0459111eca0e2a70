//! The files under one root, read once and handed to every rule.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use super::lexer::{self, Comment, Token};
use super::metadata::{self, Package};
use super::region;

/// Crates that decide what two honest machines must agree on; their `src` is held purest.
pub const LAW: &[&str] = &["wire", "engine", "text", "market", "learn", "ledger"];

/// Hidden folders that are ours; every other one belongs to some tool.
const HIDDEN: &[&str] = &[".ci", ".cargo", ".github"];

/// Everything the rules look at.
#[derive(Debug)]
pub struct Tree {
    /// Rust files, sorted by path.
    pub rust: Vec<RustFile>,
    /// All text files, Rust included, sorted by path.
    pub texts: Vec<TextFile>,
    /// The crates, as cargo sees them.
    pub packages: Vec<Package>,
}

/// A file that is text, by its path from the root with `/` between the parts.
#[derive(Debug)]
pub struct TextFile {
    /// Where it is.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// A Rust file, taken apart.
#[derive(Debug)]
pub struct RustFile {
    /// Where it is, from the root with `/` between the parts.
    pub path: String,
    /// What it says.
    pub text: String,
    /// Its code.
    pub tokens: Vec<Token>,
    /// Its comments, one entry a line.
    pub comments: Vec<Comment>,
    /// First and last lines of the test items in it.
    pub test_lines: Vec<(usize, usize)>,
    /// Whether the whole file is test code.
    pub test: bool,
    /// Modules it declares for tests only.
    test_modules: Vec<String>,
}

impl RustFile {
    /// The law crate in whose `src` this file lies, test code apart.
    pub fn law(&self) -> Option<&'static str> {
        let inside = |law: &&&str| self.path.starts_with(&format!("crates/{law}/src/"));
        LAW.iter().find(inside).copied().filter(|_| !self.test)
    }

    /// Tokens that are not test code.
    pub fn code(&self) -> impl Iterator<Item = &Token> {
        self.tokens.iter().filter(|token| !self.test && !token.test)
    }

    /// The last part of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Whether some folder of the path is called `folder`.
    pub fn is_under(&self, folder: &str) -> bool {
        self.path.split('/').rev().skip(1).any(|part| part == folder)
    }

    fn read(path: String, text: String) -> RustFile {
        let (mut tokens, mut comments) = lexer::lex(&text);
        let regions = region::mark(&mut tokens, &mut comments);
        let mut file = RustFile {
            path,
            text,
            tokens,
            comments,
            test_lines: regions.lines,
            test: regions.whole,
            test_modules: regions.modules,
        };
        file.test |= file.name() == "tests.rs" || file.is_under("tests");
        file
    }

    /// The folder in which this file's modules lie, with a slash at the end.
    fn module_folder(&self) -> String {
        let stem = self.path.strip_suffix(".rs").unwrap_or(&self.path);
        match stem.rsplit_once('/') {
            Some((folder, "lib" | "main")) => format!("{folder}/"),
            _ => format!("{stem}/"),
        }
    }
}

impl Tree {
    /// Reads all files under `root` and asks cargo about the crates there.
    pub fn read(root: &Path) -> anyhow::Result<Tree> {
        let root =
            root.canonicalize().with_context(|| format!("cannot open {}", root.display()))?;
        let mut texts = Vec::new();
        walk(&root, "", &mut texts)?;
        texts.sort_by(|left, right| left.path.cmp(&right.path));
        let is_rust = |file: &&TextFile| file.path.ends_with(".rs");
        let read = |file: &TextFile| RustFile::read(file.path.clone(), file.text.clone());
        let mut rust: Vec<RustFile> = texts.iter().filter(is_rust).map(read).collect();
        spread_tests(&mut rust);
        Ok(Tree { rust, texts, packages: metadata::packages(&root)? })
    }

    /// The text file at `path`.
    pub fn text(&self, path: &str) -> Option<&TextFile> {
        self.texts.iter().find(|file| file.path == path)
    }
}

/// A file that a test-only `mod name;` pulls in is test code, with everything below it.
fn spread_tests(files: &mut [RustFile]) {
    let mut stems = Vec::new();
    for file in files.iter() {
        let folder = file.module_folder();
        stems.extend(file.test_modules.iter().map(|module| format!("{folder}{module}")));
    }
    for file in files {
        let below = |stem: &String| {
            let rest = file.path.strip_prefix(stem.as_str());
            rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        file.test |= stems.iter().any(below);
    }
}

/// Collects text files; links, build folders and other tools' hidden folders are left alone.
fn walk(folder: &Path, prefix: &str, texts: &mut Vec<TextFile>) -> anyhow::Result<()> {
    if folder.join("CACHEDIR.TAG").exists() {
        return Ok(());
    }
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        let foreign = name.starts_with('.') && !HIDDEN.contains(&name.as_str());
        if kind.is_dir() && !foreign && name != "target" {
            walk(&entry.path(), &format!("{path}/"), texts)?;
        } else if kind.is_file() {
            let bytes = fs::read(entry.path()).with_context(|| format!("cannot read {path}"))?;
            let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
            texts.extend(text.map(|text| TextFile { path, text }));
        }
    }
    Ok(())
}
