//! One C archive with blst's own C symbols and Ed25519 (ZIP 215) for users' transactions.
//!
//! Only what C cannot get otherwise is here; rules about canonical encodings are in
//! src/crypto/ed25519.c. Every function is pure but for the OS's random numbers in the batch.
extern crate blst; // its C objects go into the archive

use core::{mem, ptr, slice};
use ed25519_zebra::{batch, Signature, SigningKey, VerificationKey, VerificationKeyBytes};

/// C may pass NULL for no bytes; Rust's slices may not be built from it.
unsafe fn bytes<'a>(start: *const u8, len: usize) -> &'a [u8] {
    if len == 0 {
        &[]
    } else {
        slice::from_raw_parts(start, len)
    }
}

unsafe fn array<const N: usize>(start: *const u8) -> [u8; N] {
    let mut out = [0u8; N];
    out.copy_from_slice(slice::from_raw_parts(start, N));
    out
}

/// Verifies `count` signatures together: keys of 32 bytes and signatures of 64 bytes one after
/// another, messages as parallel arrays of pointers and lengths. 1 if all are valid, 0 otherwise.
///
/// # Safety
/// Every pointer must be valid for the length that the arguments give.
#[no_mangle]
pub unsafe extern "C" fn dsmr_deps_ed25519_verify_batch(
    keys: *const u8,
    signatures: *const u8,
    messages: *const *const u8,
    lengths: *const usize,
    count: usize,
) -> i32 {
    let mut verifier = batch::Verifier::new();
    for i in 0..count {
        let key = VerificationKeyBytes::from(array::<32>(keys.add(32 * i)));
        let signature = Signature::from(array::<64>(signatures.add(64 * i)));
        let message = bytes(*messages.add(i), *lengths.add(i));
        verifier.queue((key, signature, message));
    }
    verifier.verify(rand_core::OsRng).is_ok() as i32
}

/// Verifies one signature. 1 if it is valid, 0 otherwise.
///
/// # Safety
/// `key` has 32 bytes, `signature` 64, `message` `length`.
#[no_mangle]
pub unsafe extern "C" fn dsmr_deps_ed25519_verify(
    key: *const u8,
    signature: *const u8,
    message: *const u8,
    length: usize,
) -> i32 {
    let signature = Signature::from(array::<64>(signature));
    match VerificationKey::try_from(array::<32>(key)) {
        Ok(key) => key.verify(&signature, bytes(message, length)).is_ok() as i32,
        Err(_) => 0,
    }
}

/// Signs `message` with the key that `seed` expands to; the signature goes to `out`.
///
/// # Safety
/// `out` has 64 bytes, `seed` 32, `message` `length`.
#[no_mangle]
pub unsafe extern "C" fn dsmr_deps_ed25519_sign(
    out: *mut u8,
    seed: *const u8,
    message: *const u8,
    length: usize,
) {
    let signature = SigningKey::from(array::<32>(seed)).sign(bytes(message, length));
    slice::from_raw_parts_mut(out, 64).copy_from_slice(&<[u8; 64]>::from(signature));
}

/// Room and alignment that C gives a `SigningKey` (src/crypto/ed25519.h). It is plain bytes without a
/// destructor, so C may copy and wipe it.
const SIGNING_KEY_BYTES: usize = 288;
const SIGNING_KEY_ALIGN: usize = 16;
const _: () = assert!(mem::size_of::<SigningKey>() <= SIGNING_KEY_BYTES);
const _: () = assert!(mem::align_of::<SigningKey>() <= SIGNING_KEY_ALIGN);
const _: () = assert!(!mem::needs_drop::<SigningKey>());

/// What `seed` expands to goes to `out`, its public key to `public_key`.
///
/// # Safety
/// `out` has `SIGNING_KEY_BYTES`, aligned to `SIGNING_KEY_ALIGN`; `public_key` and `seed` have 32.
#[no_mangle]
pub unsafe extern "C" fn dsmr_deps_ed25519_expand(
    out: *mut u8,
    public_key: *mut u8,
    seed: *const u8,
) {
    let key = SigningKey::from(array::<32>(seed));
    let bytes = <[u8; 32]>::from(VerificationKey::from(&key));
    slice::from_raw_parts_mut(public_key, 32).copy_from_slice(&bytes);
    ptr::write(out.cast::<SigningKey>(), key);
}

/// Signs `message` with a key of `dsmr_deps_ed25519_expand`; the signature goes to `out`.
///
/// # Safety
/// `out` has 64 bytes, `message` `length`; `key` is what expand wrote, or a copy in a place like it.
#[no_mangle]
pub unsafe extern "C" fn dsmr_deps_ed25519_sign_expanded(
    out: *mut u8,
    key: *const u8,
    message: *const u8,
    length: usize,
) {
    let signature = (*key.cast::<SigningKey>()).sign(bytes(message, length));
    slice::from_raw_parts_mut(out, 64).copy_from_slice(&<[u8; 64]>::from(signature));
}

/// The public key of `seed` goes to `out`.
///
/// # Safety
/// Both have 32 bytes.
#[no_mangle]
pub unsafe extern "C" fn dsmr_deps_ed25519_public(out: *mut u8, seed: *const u8) {
    let key = VerificationKey::from(&SigningKey::from(array::<32>(seed)));
    slice::from_raw_parts_mut(out, 32).copy_from_slice(&<[u8; 32]>::from(key));
}
