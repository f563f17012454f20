/*
 * sentence.hpp
 *
 * A DETAIL is a sentence. What core says of a problem is a part of one, which also stands behind a colon.
 */
#pragma once

#include "pg/postgres.hpp"

namespace wlm {

/* "no such model" -> "No such model.", in the current memory context. `part` is not empty. */
inline char *AsSentence(const char *part) { return psprintf("%c%s.", pg_toupper(static_cast<unsigned char>(*part)), part + 1); }

}  // namespace wlm
