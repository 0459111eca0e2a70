//! Signs and verifies a model's folder from the command line, for tests beside the stock tool:
//! `key PRIVATE PUBLIC`, `sign FOLDER PRIVATE SIGNATURE`, `verify FOLDER PUBLIC SIGNATURE`.

use mutirao_signing::{Bundle, Manifest, PublicKey, SigningKey};
use std::error::Error;
use std::fs::{read, read_to_string, write};
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["key", private, public] => {
            // A key for a test, the same each time.
            let key = SigningKey::from_secret(&[42; 32])?;
            write(private, key.to_pem()?)?;
            write(public, key.public().to_pem()?)?;
        }
        ["sign", folder, private, signature] => {
            let manifest = Manifest::of(Path::new(folder), &[])?;
            let key = SigningKey::from_pem(&read_to_string(private)?)?;
            write(signature, Bundle::sign(&manifest, &key)?.write()?)?;
        }
        ["verify", folder, public, signature] => {
            let bundle = Bundle::read(&read(signature)?)?;
            let key = PublicKey::from_pem(&read_to_string(public)?)?;
            bundle.verify(&key, &Manifest::of(Path::new(folder), &[])?)?;
        }
        _ => {
            return Err("key PRIVATE PUBLIC | sign FOLDER PRIVATE SIGNATURE | verify FOLDER \
                         PUBLIC SIGNATURE"
                .into());
        }
    }
    Ok(())
}
