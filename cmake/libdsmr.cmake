# libdsmr: the pure layers as one static and one shared library, with its installation.
# The shared library exports what the installed headers declare, and nothing else.
set(LIBDSMR_LAYERS base crypto wire core bft)
set(LIBDSMR_SOVERSION 0)
set(LIBDSMR_OBJECTS "")
foreach(layer ${LIBDSMR_LAYERS})
  get_target_property(type dsmr_${layer} TYPE)
  if(type STREQUAL "STATIC_LIBRARY")
    # Hidden symbols could not be exported at all; the version script hides instead.
    set_target_properties(dsmr_${layer} PROPERTIES C_VISIBILITY_PRESET default)
    list(APPEND LIBDSMR_OBJECTS $<TARGET_OBJECTS:dsmr_${layer}>)
  endif()
endforeach()
if(LIBDSMR_OBJECTS)
  file(GLOB LIBDSMR_PUBLIC CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/include/dsmr/*.h)
  # What an embedder needs to answer the core's effects: encodings, hashes, BLS. Installed below
  # dsmr/ as <dsmr/wire/codec.h> and so on, so that nothing else of the include folder is touched.
  set(LIBDSMR_SUPPORT wire/codec.h wire/cursor.h wire/message.h crypto/hash.h crypto/bls.h
    crypto/aggregate.h crypto/ed25519.h crypto/set_builder.h bft/bft.h base/metrics.h)
  set(LIBDSMR_HEADERS ${LIBDSMR_PUBLIC})
  foreach(header ${LIBDSMR_SUPPORT})
    list(APPEND LIBDSMR_HEADERS ${CMAKE_SOURCE_DIR}/src/${header})
  endforeach()

  set(LIBDSMR_MAP ${CMAKE_BINARY_DIR}/libdsmr.map)
  find_program(DSMR_PYTHON NAMES python3 REQUIRED)
  add_custom_command(OUTPUT ${LIBDSMR_MAP}
    COMMAND ${DSMR_PYTHON} ${CMAKE_SOURCE_DIR}/tools/gen_exports.py ${LIBDSMR_MAP} ${LIBDSMR_HEADERS}
    DEPENDS ${CMAKE_SOURCE_DIR}/tools/gen_exports.py ${LIBDSMR_HEADERS}
    COMMENT "libdsmr.map" VERBATIM)
  add_custom_target(libdsmr_map DEPENDS ${LIBDSMR_MAP})

  set(LIBDSMR_INCLUDE ${CMAKE_BINARY_DIR}/include/dsmr)
  set(LIBDSMR_STAMP ${CMAKE_BINARY_DIR}/include/stamp)
  list(TRANSFORM LIBDSMR_SUPPORT PREPEND ${CMAKE_SOURCE_DIR}/src/ OUTPUT_VARIABLE support_sources)
  add_custom_command(OUTPUT ${LIBDSMR_STAMP}
    COMMAND ${DSMR_PYTHON} ${CMAKE_SOURCE_DIR}/tools/gen_headers.py ${CMAKE_SOURCE_DIR}/src
            ${LIBDSMR_INCLUDE} ${LIBDSMR_SUPPORT}
    COMMAND ${CMAKE_COMMAND} -E touch ${LIBDSMR_STAMP}
    DEPENDS ${CMAKE_SOURCE_DIR}/tools/gen_headers.py ${support_sources}
    COMMENT "installed headers" VERBATIM)
  add_custom_target(libdsmr_headers DEPENDS ${LIBDSMR_STAMP})

  add_library(libdsmr_static STATIC EXCLUDE_FROM_ALL ${LIBDSMR_OBJECTS})
  add_library(libdsmr_shared SHARED EXCLUDE_FROM_ALL ${LIBDSMR_OBJECTS})
  foreach(library libdsmr_static libdsmr_shared)
    add_dependencies(${library} crypto_crate_build)
    set_target_properties(${library} PROPERTIES OUTPUT_NAME dsmr LINKER_LANGUAGE C)
  endforeach()
  target_link_libraries(libdsmr_shared PRIVATE crypto_crate)
  target_link_options(libdsmr_shared PRIVATE -Wl,--version-script=${LIBDSMR_MAP} -Wl,--no-undefined)
  set_target_properties(libdsmr_shared PROPERTIES SOVERSION ${LIBDSMR_SOVERSION}
    VERSION ${LIBDSMR_SOVERSION}.${PROJECT_VERSION_MINOR}.${PROJECT_VERSION_PATCH}
    LINK_DEPENDS ${LIBDSMR_MAP})
  add_dependencies(libdsmr_shared libdsmr_map)
  add_custom_target(libdsmr DEPENDS libdsmr_static libdsmr_shared libdsmr_headers)

  include(GNUInstallDirs)
  # Both find the prefix from where they stand, so that an installation can be moved.
  file(RELATIVE_PATH DSMR_PC_TO_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
  string(REGEX REPLACE "/$" "" DSMR_PC_TO_PREFIX ${DSMR_PC_TO_PREFIX})
  file(RELATIVE_PATH DSMR_CMAKE_TO_PREFIX /${CMAKE_INSTALL_LIBDIR}/cmake/dsmr /)
  configure_file(${CMAKE_SOURCE_DIR}/cmake/dsmr.pc.in ${CMAKE_BINARY_DIR}/dsmr.pc @ONLY)
  configure_file(${CMAKE_SOURCE_DIR}/cmake/dsmrConfig.cmake.in
    ${CMAKE_BINARY_DIR}/dsmrConfig.cmake @ONLY)
  include(CMakePackageConfigHelpers)
  write_basic_package_version_file(${CMAKE_BINARY_DIR}/dsmrConfigVersion.cmake
    COMPATIBILITY SameMinorVersion)
  install(FILES ${LIBDSMR_PUBLIC} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/dsmr COMPONENT lib)
  install(DIRECTORY ${LIBDSMR_INCLUDE}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/dsmr COMPONENT lib)
  install(TARGETS libdsmr_static libdsmr_shared COMPONENT lib)
  # Static linking needs the crypto archive too; the shared library has it inside.
  install(FILES ${CRYPTO_LIB} DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT lib)
  install(FILES ${CMAKE_BINARY_DIR}/dsmr.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
    COMPONENT lib)
  install(FILES ${CMAKE_BINARY_DIR}/dsmrConfig.cmake ${CMAKE_BINARY_DIR}/dsmrConfigVersion.cmake
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/dsmr COMPONENT lib)
else()
  add_custom_target(libdsmr)
endif()
