# AWS-LC from its official crate: headers and two archives. Its TLS is for src/net alone.
set(TLS_DIR ${CMAKE_SOURCE_DIR}/build/tls) # shared by all presets: built once
set(TLS_LIBS ${TLS_DIR}/libdsmr_tls_ssl.a ${TLS_DIR}/libdsmr_tls_crypto.a)
add_custom_command(
  OUTPUT ${TLS_LIBS} ${TLS_DIR}/include/openssl/ssl.h
  COMMAND ${CMAKE_COMMAND} -E env DSMR_TLS_DIR=${TLS_DIR} RUSTC=${DSMR_RUSTC}
          --unset=CFLAGS --unset=CXXFLAGS --unset=LDFLAGS # a sanitizer's are not for it
          # The locked one and no other. Random numbers come from the system: AWS-LC's own source of
          # them ends the process where the timer is too coarse.
          AWS_LC_SYS_USE_SYSTEM=0 AWS_LC_SYS_STATIC=1 AWS_LC_SYS_NO_JITTER_ENTROPY=1
          ${DSMR_CARGO} build --release --locked --quiet
          --manifest-path ${CMAKE_SOURCE_DIR}/deps/tls/Cargo.toml --target-dir ${TLS_DIR}/target
  COMMAND ${CMAKE_COMMAND} -E touch ${TLS_LIBS} ${TLS_DIR}/include/openssl/ssl.h
  DEPENDS ${CMAKE_SOURCE_DIR}/deps/tls/Cargo.toml ${CMAKE_SOURCE_DIR}/deps/tls/Cargo.lock
          ${CMAKE_SOURCE_DIR}/deps/tls/build.rs ${CMAKE_SOURCE_DIR}/deps/tls/src/lib.rs
  COMMENT "tls crate" VERBATIM)
add_custom_target(tls_crate_build DEPENDS ${TLS_LIBS})
file(MAKE_DIRECTORY ${TLS_DIR}/include)
add_library(tls_crate INTERFACE)
# Before the system's headers of OpenSSL, which have the same names.
target_include_directories(tls_crate BEFORE INTERFACE ${TLS_DIR}/include)
target_link_libraries(tls_crate INTERFACE ${TLS_LIBS} pthread)
# libwebsockets and gRPC bring OpenSSL's libssl.so, with functions of the same names: without this
# the linker would show them ours.
target_link_options(tls_crate INTERFACE
  LINKER:--exclude-libs,libdsmr_tls_ssl.a:libdsmr_tls_crypto.a)
add_dependencies(tls_crate tls_crate_build)
