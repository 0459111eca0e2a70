//! Caches laid out as their programs do.

use super::*;
use std::fs;

fn caches(folder: &Path) -> Caches {
    let home = folder.to_string_lossy().into_owned();
    Caches::find(move |name| (name == "HOME").then(|| home.clone()))
}

fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(path, content).expect("written");
}

#[test]
fn places_follow_the_variables_that_people_set_for_other_programs() {
    let with = |pairs: &'static [(&str, &str)]| {
        Caches::find(move |name| {
            let found = pairs.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    };
    let usual = with(&[("HOME", "/home/ana")]);
    assert_eq!(usual.hub, Path::new("/home/ana/.cache/huggingface/hub"));
    assert_eq!(usual.ollama, Path::new("/home/ana/.ollama/models"));
    assert_eq!((usual.endpoint.as_str(), usual.offline), ("https://huggingface.co", false));
    let moved = with(&[("HF_HOME", "/big"), ("OLLAMA_MODELS", "/o"), ("HF_HUB_OFFLINE", "1")]);
    assert_eq!((moved.hub.as_path(), moved.offline), (Path::new("/big/hub"), true));
    assert_eq!(moved.ollama, Path::new("/o"));
    let cache = with(&[("HF_HOME", "/big"), ("HF_HUB_CACHE", "/c"), ("HF_TOKEN", " hf_x\n")]);
    assert_eq!(cache.hub, Path::new("/c"));
    assert_eq!(cache.token, Some(Token("hf_x".into())));
    assert!(!format!("{cache:?}").contains("hf_x"), "a secret is not shown");
}

#[test]
fn a_snapshot_is_found_by_branch_and_by_commit() {
    let folder = tempfile::tempdir().expect("a folder");
    let caches = caches(folder.path());
    let place = caches.hub.join("models--org--repo");
    write(&place.join("refs/main"), "abc123");
    write(&place.join("refs/pr/7"), "def456\n");
    write(&place.join("snapshots/abc123/config.json"), "{}");
    write(&place.join("snapshots/def456/config.json"), "{}");
    let find = |name: &str| Repository::parse(name).expect("a name")?.snapshot(&caches);
    assert_eq!(find("hf://org/repo").expect("found"), place.join("snapshots/abc123"));
    assert_eq!(find("hf://org/repo@def456").expect("found"), place.join("snapshots/def456"));
    assert_eq!(find("hf://org/repo@pr/7").expect("found"), place.join("snapshots/def456"));
    let missing = find("hf://org/other").expect_err("not there").to_string();
    assert!(missing.contains("mutirao pull hf://org/other"), "{missing}");
    write(&place.join("refs/evil"), "../../..");
    assert!(find("hf://org/repo@evil").is_err());
    for bad in ["hf://repo", "hf://a/b/c", "hf://../x", "hf://a/b@../../x", "hf://a/", "hf://a/b@"]
    {
        assert!(matches!(find(bad), Err(CacheError::BadName { .. })), "{bad}");
    }
    assert!(Repository::parse("org/repo").is_none());
}

#[test]
fn an_ollama_model_is_the_blob_that_its_manifest_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let caches = caches(folder.path());
    let layers = r#"{"layers":[
        {"mediaType":"application/vnd.ollama.image.template","digest":"sha256:11"},
        {"mediaType":"application/vnd.ollama.image.model","digest":"sha256:ab12"}]}"#;
    let manifests = caches.ollama.join("manifests/registry.ollama.ai");
    write(&manifests.join("library/little/latest"), layers);
    write(&manifests.join("ana/little/q8"), layers);
    write(&manifests.join("library/odd/latest"), "{}");
    write(&manifests.join("library/evil/latest"), &layers.replace("ab12", "../../x"));
    let blob = caches.ollama.join("blobs/sha256-ab12");
    let find = |name: &str| ollama(name, &caches).expect("a name");
    for name in ["ollama://little", "ollama://little:latest", "ollama://ana/little:q8"] {
        assert_eq!(find(name).expect("found"), blob, "{name}");
    }
    let missing = find("ollama://little:q4").expect_err("not there").to_string();
    assert!(missing.contains("`ollama pull little:q4`"), "{missing}");
    for name in ["ollama://odd", "ollama://evil"] {
        assert!(matches!(find(name), Err(CacheError::Strange { .. })), "{name}");
    }
    for bad in ["ollama://", "ollama://../x", "ollama://a:b/c", "ollama://a/b/c/d"] {
        assert!(matches!(find(bad), Err(CacheError::BadName { .. })), "{bad}");
    }
    assert!(ollama("little", &caches).is_none());
}
