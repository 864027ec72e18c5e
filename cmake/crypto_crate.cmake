# blst and ed25519-zebra from their official crates, as one C archive with blst's headers.
set(CRYPTO_DIR ${CMAKE_SOURCE_DIR}/build/crypto) # shared by all presets: built once
set(CRYPTO_LIB ${CRYPTO_DIR}/target/release/libdsmr_deps_crypto.a)
if(NOT DSMR_CARGO)
  execute_process(COMMAND ${CMAKE_SOURCE_DIR}/tools/find_cargo.sh OUTPUT_VARIABLE DSMR_CARGO_FOUND
    OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT DSMR_CARGO_FOUND)
    message(FATAL_ERROR "no cargo 1.85 or newer: run tools/install_deps.sh")
  endif()
  set(DSMR_CARGO ${DSMR_CARGO_FOUND} CACHE FILEPATH "cargo, 1.85 or newer")
endif()
# The rustc beside it: an older one may come first in PATH.
get_filename_component(DSMR_RUSTC ${DSMR_CARGO} DIRECTORY)
set(DSMR_RUSTC ${DSMR_RUSTC}/rustc)
file(GLOB CRYPTO_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/deps/crypto/src/*.rs)
add_custom_command(
  OUTPUT ${CRYPTO_LIB} ${CRYPTO_DIR}/include/blst.h
  COMMAND ${CMAKE_COMMAND} -E env DSMR_CRYPTO_INCLUDE=${CRYPTO_DIR}/include
          RUSTC=${DSMR_RUSTC}
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
