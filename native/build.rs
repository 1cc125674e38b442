//! Puts into the library what it was built from, so that a stale one is never used silently.
//!
//! `LAYOUT`: a hash of what Python says of the table and the border. `SOURCES`: a hash of all that is compiled.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

const LAYOUT: [&str; 2] = ["../geodns/core/table.py", "../geodns/_native.pyi"];
const SOURCES: [&str; 3] = ["Cargo.toml", "Cargo.lock", "build.rs"];

fn main() {
    let layout: Vec<PathBuf> = LAYOUT.iter().map(PathBuf::from).collect();
    let mut sources: Vec<PathBuf> = SOURCES.iter().map(PathBuf::from).collect();
    sources.extend(below(Path::new("src")));
    println!("cargo:rerun-if-changed=src");
    println!("cargo:rustc-env=GEODNS_LAYOUT={}", hash(&layout));
    println!("cargo:rustc-env=GEODNS_SOURCES={}", hash(&sources));
}

/// The Rust files of a folder and those below it, in the order of their paths.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the sources are here").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(below(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The hash of files' contents, each behind its length.
fn hash(files: &[PathBuf]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        println!("cargo:rerun-if-changed={}", file.display());
        let text = fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(&text);
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}
