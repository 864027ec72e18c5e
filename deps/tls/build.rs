// AWS-LC's build script tells where its headers and archives are; copy them to a place that the C
// build knows.
use std::{env, fs, path::Path};

/// The value of DEP_AWS_LC_(version)_(key): the version is in the name.
fn told(key: &str) -> String {
    env::vars()
        .find(|(name, _)| name.starts_with("DEP_AWS_LC_") && name.ends_with(key))
        .unwrap_or_else(|| panic!("aws-lc-sys tells no {key}"))
        .1
}

fn copy_headers(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_headers(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn main() {
    let to = env::var("DSMR_TLS_DIR").unwrap_or_else(|_| env::var("OUT_DIR").unwrap());
    let to = Path::new(&to);
    let _ = fs::remove_dir_all(to.join("include")); // another version may have other headers
    copy_headers(Path::new(&told("_INCLUDE")), &to.join("include"));
    fs::copy(told("_LIBSSL_PATH"), to.join("libdsmr_tls_ssl.a")).unwrap();
    fs::copy(told("_LIBCRYPTO_PATH"), to.join("libdsmr_tls_crypto.a")).unwrap();
    println!("cargo:rerun-if-env-changed=DSMR_TLS_DIR");
    for name in ["include/openssl/ssl.h", "libdsmr_tls_ssl.a", "libdsmr_tls_crypto.a"] {
        println!("cargo:rerun-if-changed={}", to.join(name).display()); // lost: copied again
    }
}
