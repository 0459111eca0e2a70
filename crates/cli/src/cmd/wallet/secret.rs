//! Passwords and words: asked for without an echo, or read from where the person says.

use anyhow::{Context, bail, ensure};
use mutirao_node::Node;
use mutirao_node::config::PASSWORD_ENVIRONMENT;
use mutirao_node::files;
use mutirao_wallet::keystore::Password;
use std::io::{IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use zeroize::Zeroizing;

/// Bytes of a file with a password or words at most.
const SECRET_BYTES_MAX: u64 = 4096;

/// The password of the wallet: from a file, the environment or the person. Of a new one the person
/// is asked twice.
pub(in crate::cmd) fn password(node: &Node, new: bool) -> anyhow::Result<Password> {
    if let Some(file) = &node.config().password_file {
        return first_line(file);
    }
    if let Ok(text) = std::env::var(PASSWORD_ENVIRONMENT) {
        return Ok(Password::new(text));
    }
    if !std::io::stdin().is_terminal() {
        bail!(
            "the wallet's password is wanted and nobody is here to ask: name a file with \
             --password-file, or set {PASSWORD_ENVIRONMENT}"
        );
    }
    if new { twice() } else { Ok(Password::new(ask("Password of the wallet: ")?)) }
}

/// A password that shall follow another.
pub(super) fn new_password(file: Option<&Path>) -> anyhow::Result<Password> {
    match file {
        Some(file) => first_line(file),
        None => {
            let there = std::io::stdin().is_terminal();
            ensure!(there, "nobody is here to ask for the new password: name a file, --new-file");
            twice()
        }
    }
}

fn twice() -> anyhow::Result<Password> {
    let password = Password::new(ask("New password of the wallet: ")?);
    password.check()?;
    let again = Password::new(ask("The same once more: ")?);
    ensure!(password.is(&again), "the two differ; nothing was done");
    Ok(password)
}

fn first_line(file: &Path) -> anyhow::Result<Password> {
    let content = Zeroizing::new(files::read_bounded(file, SECRET_BYTES_MAX)?);
    let text = std::str::from_utf8(&content);
    let text = text.with_context(|| format!("{} is not text", file.display()))?;
    Ok(Password::new(text.lines().next().unwrap_or_default().to_owned()))
}

/// Words or a view key: from a file, from standard input, or asked for.
pub(super) fn words_or_key(file: Option<&Path>) -> anyhow::Result<Zeroizing<String>> {
    if let Some(file) = file {
        let content = Zeroizing::new(files::read_bounded(file, SECRET_BYTES_MAX)?);
        let text = std::str::from_utf8(&content);
        let text = text.with_context(|| format!("{} is not text", file.display()))?;
        return Ok(Zeroizing::new(text.to_owned()));
    }
    if std::io::stdin().is_terminal() {
        return Ok(Zeroizing::new(ask("The 24 words, or a view key (not shown): ")?));
    }
    let mut text = Zeroizing::new(String::new());
    std::io::stdin().take(SECRET_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// One line from the person, who sees nothing of it.
fn ask(prompt: &str) -> anyhow::Result<String> {
    rpassword::prompt_password(prompt).context("cannot ask at the terminal")
}

/// Writes a file that must not be there, for its owner's eyes alone.
pub(super) fn write_new(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(path);
    let mut file = opened.with_context(|| format!("cannot make {}", path.display()))?;
    file.write_all(content).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(file.sync_all()?)
}
