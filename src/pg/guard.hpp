/*
 * guard.hpp
 *
 * The wall between C++ and PostgreSQL. Every entry point that PostgreSQL calls
 * (SQL function, hook, background worker, callback) runs its body through
 * Guarded(): a C++ exception becomes an ordinary ERROR, raised only after the
 * catch block has been left and with PostgreSQL's exception stack as it was at
 * entry, because a throw skips the PG_END_TRYs of the frames it unwinds.
 *
 * The other direction is a rule, not code: no frame holds both a live C++
 * object with a destructor and a PostgreSQL call that may raise. Collect plain
 * structs, compute in core, apply plain structs.
 */
#pragma once

#include <exception>
#include <new>

#include "pg/postgres.hpp"

namespace wlm {

/* What the catch block leaves behind: plain, so that raising it leaks nothing. */
struct CaughtException {
	bool out_of_memory;
	char text[256];
};

void DescribeException(CaughtException *caught, const char *text) noexcept;
[[noreturn]] void RaiseCaught(const CaughtException &caught);

template <typename Result, typename Body>
Result Guarded(Body body)
{
	sigjmp_buf *const exception_stack = PG_exception_stack;
	ErrorContextCallback *const context_stack = error_context_stack;
	const uint32 holdoff = InterruptHoldoffCount;
	CaughtException caught;

	try {
		return body();
	} catch (const std::bad_alloc &) {
		caught.out_of_memory = true;
		DescribeException(&caught, "out of memory");
	} catch (const std::exception &exception) {
		caught.out_of_memory = false;
		DescribeException(&caught, exception.what());
	} catch (...) {
		caught.out_of_memory = false;
		DescribeException(&caught, "unknown C++ exception");
	}
	PG_exception_stack = exception_stack;
	error_context_stack = context_stack;
	InterruptHoldoffCount = holdoff;
	RaiseCaught(caught);
}

}  // namespace wlm

/* An SQL-callable function whose body is guarded. The first declaration exports it also before PostgreSQL 16. */
#define WLM_FUNCTION(name)                                                                                     \
	extern "C" {                                                                                               \
	PGDLLEXPORT Datum name(PG_FUNCTION_ARGS);                                                                  \
	PG_FUNCTION_INFO_V1(name);                                                                                 \
	}                                                                                                          \
	static Datum name##_body(FunctionCallInfo fcinfo);                                                         \
	extern "C" Datum name(PG_FUNCTION_ARGS)                                                                    \
	{                                                                                                          \
		return wlm::Guarded<Datum>([fcinfo] { return name##_body(fcinfo); });                                  \
	}                                                                                                          \
	static Datum name##_body(FunctionCallInfo fcinfo)
