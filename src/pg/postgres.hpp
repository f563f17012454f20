/*
 * postgres.hpp
 *
 * The one way in which files of src/pg meet PostgreSQL's headers. Include it
 * first, and further server headers inside extern "C" blocks after it. Never
 * together with Eigen or other libraries: the server's macros would rewrite
 * them.
 */
#pragma once

/* Up to 15 PGDLLEXPORT is empty, which -fvisibility=hidden would turn into "missing magic block". */
#ifndef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#endif

/* A variable that every statement reads: not by way of the global offset table, as -fvisibility=hidden leaves declarations alone. */
#define WLM_HOT [[gnu::visibility("hidden")]]

extern "C" {
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
}

/* libintl's and port.h's macros break C++ code that merely mentions these names. */
#undef snprintf
#undef vsnprintf
#undef printf
#undef fprintf
#undef sprintf
