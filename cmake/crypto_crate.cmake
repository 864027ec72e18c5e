# blst and ed25519-zebra from their official crates, as one C archive with blst's headers.
set(CRYPTO_DIR ${CMAKE_SOURCE_DIR}/build/crypto) # shared by all presets: built once
set(CRYPTO_LIB ${CRYPTO_DIR}/target/release/libdsmr_deps_crypto.a)
find_program(DSMR_CARGO NAMES cargo cargo-web REQUIRED)
file(GLOB CRYPTO_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/deps/crypto/src/*.rs)
add_custom_command(
  OUTPUT ${CRYPTO_LIB} ${CRYPTO_DIR}/include/blst.h
  COMMAND ${CMAKE_COMMAND} -E env DSMR_CRYPTO_INCLUDE=${CRYPTO_DIR}/include
          ${DSMR_CARGO} build --release --locked --quiet
          --manifest-path ${CMAKE_SOURCE_DIR}/deps/crypto/Cargo.toml
          --target-dir ${CRYPTO_DIR}/target
  COMMAND ${CMAKE_COMMAND} -E touch ${CRYPTO_LIB}
  DEPENDS ${CRYPTO_SOURCES} ${CMAKE_SOURCE_DIR}/deps/crypto/Cargo.toml
          ${CMAKE_SOURCE_DIR}/deps/crypto/Cargo.lock ${CMAKE_SOURCE_DIR}/deps/crypto/build.rs
  COMMENT "crypto crate" VERBATIM)
add_custom_target(crypto_crate_build DEPENDS ${CRYPTO_LIB})
file(MAKE_DIRECTORY ${CRYPTO_DIR}/include)
add_library(crypto_crate STATIC IMPORTED GLOBAL)
set_target_properties(crypto_crate PROPERTIES IMPORTED_LOCATION ${CRYPTO_LIB}
  INTERFACE_INCLUDE_DIRECTORIES ${CRYPTO_DIR}/include
  INTERFACE_LINK_LIBRARIES "pthread;dl;m")
add_dependencies(crypto_crate crypto_crate_build)
