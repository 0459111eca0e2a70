//! Models from the hub: fetched into the cache that other programs read as well, in their layout.

use crate::assemble::Node;
use crate::caches::{CacheError, Repository};
use crate::files;
use crate::library::LibraryError;
use mutirao_gateway::{Hub, HubFile};
use std::path::{Path, PathBuf};

/// What is fetched beside the weights, where it is there.
const SIDES: [&str; 5] = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "generation_config.json",
];

impl Node {
    /// Fetches `hf://org/repo[@revision]` into the hub's cache, from where an earlier attempt
    /// stopped. `progress` hears the bytes that came and those that there are. Offline, what is in
    /// the cache has to do.
    ///
    /// # Errors
    /// [`LibraryError`]; what came is kept for the next time.
    pub async fn fetch_from_hub(
        &self,
        name: &str,
        mut progress: impl FnMut(u64, u64) + Send,
    ) -> Result<(), LibraryError> {
        let wanted = "hf://org/repo or hf://org/repo@revision";
        let bad = || CacheError::BadName { name: name.to_owned(), wanted };
        let repository = Repository::parse(name).ok_or_else(bad)??;
        let caches = &self.config().caches;
        if caches.offline {
            repository.snapshot(caches)?;
            return Ok(());
        }
        let hub = Hub::new(&caches.endpoint, caches.token.clone().map(|token| token.0))?;
        let (commit, listed) = hub.list(&repository.id, &repository.revision).await?;
        let chosen = chosen(listed).ok_or_else(|| LibraryError::NoWeights { name: name.into() })?;
        let folder = repository.folder(caches);
        let snapshot = folder.join("snapshots").join(&commit);
        files::make_dir(&folder.join("blobs"))?;
        files::make_dir(&snapshot)?;
        let all: u64 = chosen.iter().map(|file| file.bytes).sum();
        let mut before = 0;
        self.has_room(all)?;
        for file in &chosen {
            let blob = folder.join("blobs").join(&file.name);
            if !blob.is_file() {
                let part = folder.join("blobs").join(format!("{}.incomplete", file.name));
                let mut heard = |have| progress(before + have, all);
                hub.fetch(&repository.id, &commit, file, &part, &mut heard).await?;
                std::fs::rename(&part, &blob).map_err(files::failed("create", &blob))?;
            }
            link(&snapshot.join(&file.path), &file.name)?;
            before += file.bytes;
            progress(before, all);
        }
        let reference = folder.join("refs").join(&repository.revision);
        files::make_dir(reference.parent().unwrap_or(&folder))?;
        Ok(files::write_public(&reference, commit.as_bytes())?)
    }
}

/// A snapshot's file is a link to its content.
fn link(place: &Path, name: &str) -> Result<(), LibraryError> {
    let content: PathBuf = Path::new("../../blobs").join(name);
    match std::os::unix::fs::symlink(content, place) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(files::failed("create", place)(error).into())
        }
        _ => Ok(()),
    }
}

/// The files of a model among those of a repository: weights as safetensors, or in the only GGUF
/// file there is.
fn chosen(listed: Vec<HubFile>) -> Option<Vec<HubFile>> {
    let has = |name: &str| listed.iter().any(|file| file.path == name);
    let whole = has("model.safetensors");
    let parts = has("model.safetensors.index.json");
    let is_gguf = |file: &HubFile| file.path.ends_with(".gguf");
    let gguf = listed.iter().filter(|file| is_gguf(file)).count();
    if !whole && !parts && gguf != 1 {
        return None;
    }
    let is_part = |path: &str| path.starts_with("model-") && path.ends_with(".safetensors");
    let wanted = |file: &HubFile| {
        let path = file.path.as_str();
        SIDES.contains(&path)
            || if whole {
                path == "model.safetensors"
            } else if parts {
                path == "model.safetensors.index.json" || is_part(path)
            } else {
                is_gguf(file)
            }
    };
    Some(listed.into_iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::tests::{Place, runtime};
    use crate::models::Models;
    use axum::Router;
    use axum::extract::Path as UrlPath;
    use axum::routing::get;
    use mutirao_engine::Profile;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    /// A hub that has the village, as `org/village`.
    async fn village_hub() -> String {
        let files = Models::new(Path::new(".")).embedded();
        let listed = files.iter().enumerate().map(|(number, (name, content))| {
            let oid = format!("{number:040x}");
            let (size, path) = (content.len(), name.as_str());
            serde_json::json!({ "type": "file", "oid": oid, "size": size, "path": path })
        });
        let listed = serde_json::Value::from(listed.collect::<Vec<_>>()).to_string();
        let file = move |UrlPath(path): UrlPath<String>| async move {
            let found = files.into_iter().find(|(name, _)| name.as_str() == path);
            found.map(|(_, content)| content).unwrap_or_default()
        };
        let commit = || async { format!("{{\"sha\":\"{COMMIT}\"}}") };
        let router = Router::new()
            .route("/api/models/org/village/revision/main", get(commit))
            .route(
                &format!("/api/models/org/village/tree/{COMMIT}"),
                get(move || async move { listed }),
            )
            .route(&format!("/org/village/resolve/{COMMIT}/{{path}}"), get(file));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    #[test]
    fn a_repository_comes_into_the_cache_and_is_imported_from_there_also_offline() {
        let (place, runtime) = (Place::new(), runtime());
        let endpoint = runtime.block_on(village_hub());
        let node = |name: &str, offline: bool| {
            place.node(name, |config| {
                config.caches.hub = config.data_dir.with_file_name("hub");
                config.caches.endpoint = endpoint.clone();
                config.caches.offline = offline;
            })
        };
        let name = "hf://org/village";
        let early = runtime.block_on(node("early", true).fetch_from_hub(name, |_, _| {}));
        assert!(early.expect_err("not there yet").to_string().contains("mutirao pull"));
        let online = node("online", false);
        let mut last = (0, 1);
        let heard = |have, all| last = (have, all);
        runtime.block_on(online.fetch_from_hub(name, heard)).expect("fetched");
        assert_eq!(last.0, last.1);
        let village = online.open("village").expect("the village").id();
        let offline = node("offline", true);
        runtime.block_on(offline.fetch_from_hub(name, |_, _| {})).expect("it is there");
        let imported = offline.import(name, Some("mine"), Profile::W8, &mut |_| {});
        assert_eq!(imported.expect("imported").converted.id, village);
        assert_eq!(offline.open(name).expect("opened where it lies").id(), village);
        assert_eq!(offline.open("mine").expect("opened").id(), village);
    }

    #[test]
    fn of_a_repository_only_what_makes_a_model_is_fetched() {
        let names = |paths: &[&str]| {
            let file = |path: &&str| HubFile {
                path: (*path).to_owned(),
                bytes: 1,
                name: "00".repeat(20),
                sha256: None,
            };
            let chosen = chosen(paths.iter().map(file).collect());
            chosen.map(|files| files.into_iter().map(|file| file.path).collect::<Vec<_>>())
        };
        let sides = ["config.json", "README.md", "tokenizer.json", "pytorch_model.bin"];
        let with = |more: &[&str]| names(&[&sides, more].concat());
        let found = |weights: &[&str]| {
            let all = [&["config.json", "tokenizer.json"], weights].concat();
            Some(all.into_iter().map(str::to_owned).collect::<Vec<_>>())
        };
        assert_eq!(with(&["model.safetensors", "a.gguf"]), found(&["model.safetensors"]));
        let parts = ["model-1.safetensors", "model-2.safetensors", "model.safetensors.index.json"];
        assert_eq!(with(&parts), found(&parts));
        assert_eq!(with(&["x.gguf"]), found(&["x.gguf"]));
        assert_eq!(with(&["x.gguf", "y.gguf"]), None, "which of them?");
        assert_eq!(with(&[]), None, "pickle is not read");
    }
}
