/*
 * guard.cpp
 *
 * Out of line, so that the templates stay small.
 */
#include "pg/guard.hpp"

#include <cstring>

namespace wlm {

void DescribeException(CaughtException *caught, const char *text) noexcept
{
	strlcpy(caught->text, text != nullptr ? text : "", sizeof caught->text);
}

void RaiseCaught(const CaughtException &caught)
{
	if (caught.out_of_memory)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
		                errdetail("pg_wlm could not allocate memory for a C++ object.")));
	ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("unexpected exception in pg_wlm: %s", caught.text),
	                errhint("This is a bug in pg_wlm; set wlm.mode to \"off\" and report it.")));
}

}  // namespace wlm
