# librdkafka with Superstream in it, under the names of librdkafka's own package.
get_filename_component(_rdkafka_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

if(NOT TARGET RdKafka::rdkafka)
  add_library(RdKafka::rdkafka SHARED IMPORTED)
  set_target_properties(RdKafka::rdkafka PROPERTIES
    IMPORTED_LOCATION "${_rdkafka_prefix}/lib/librdkafka.so.1"
    IMPORTED_SONAME "librdkafka.so.1"
    INTERFACE_INCLUDE_DIRECTORIES "${_rdkafka_prefix}/include")
endif()
unset(_rdkafka_prefix)

# The C++ wrapper is not ours to ship: the distribution's works with this library.
foreach(_component IN LISTS RdKafka_FIND_COMPONENTS)
  if(RdKafka_FIND_REQUIRED_${_component} AND NOT _component STREQUAL "rdkafka")
    set(RdKafka_FOUND FALSE)
    set(RdKafka_NOT_FOUND_MESSAGE "there is no component ${_component}")
  endif()
endforeach()
