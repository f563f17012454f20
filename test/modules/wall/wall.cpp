/*
 * wall.cpp
 *
 * Everything that can go wrong behind the wall, one function each, to be
 * called thousands of times in one backend: exceptions from frames with live
 * C++ objects, exceptions out of a PG_TRY, errors of PostgreSQL, and errors
 * raised while an exception handler of PostgreSQL is active.
 */
#include "pg/guard.hpp"

#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

extern "C" {
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
}

extern "C" {
PG_MODULE_MAGIC;
}

namespace {

/* Counts those alive: an object that is skipped by a longjmp, or leaked, stays counted. */
int alive = 0;

struct Counted {
	std::string text;
	std::vector<double> numbers;

	explicit Counted(int depth) : text(1000, 'x'), numbers(200, depth) { alive++; }
	Counted(const Counted &) = delete;
	Counted &operator=(const Counted &) = delete;
	~Counted() { alive--; }
};

struct NotAnException {
	int value;
};

enum class Kind { kRuntime, kLongText, kBadAlloc, kLength, kInt, kStruct };

/* Unwinds some frames with objects in each. */
[[gnu::noinline]] int Throw(Kind kind, int depth)
{
	const Counted object(depth);
	const std::unique_ptr<Counted> owned = std::make_unique<Counted>(depth);

	if (depth > 0)
		return Throw(kind, depth - 1) + static_cast<int>(object.numbers.size());
	switch (kind) {
	case Kind::kRuntime:
		throw std::runtime_error("runtime error " + owned->text.substr(0, 3));
	case Kind::kLongText:
		throw std::runtime_error(std::string(5000, 'y'));
	case Kind::kBadAlloc:
		throw std::bad_alloc();
	case Kind::kLength:
		owned->text.resize(owned->text.max_size() + 1);
		break;
	case Kind::kInt:
		throw 42;
	case Kind::kStruct:
		throw NotAnException{1};
	}
	return 0;
}

/* What a std container throws by itself when memory is really short. */
[[gnu::noinline]] size_t AllocateTooMuch()
{
	std::vector<double> huge(size_t{1} << 58);
	double *volatile kept = huge.data();    /* or a compiler may leave the memory out */
	return kept != nullptr ? huge.size() : 0;
}

}  // namespace

WLM_FUNCTION(wall_normal) { PG_RETURN_INT32(PG_GETARG_INT32(0) + 1); }
WLM_FUNCTION(wall_runtime_error) { PG_RETURN_INT32(Throw(Kind::kRuntime, PG_GETARG_INT32(0) % 5)); }
WLM_FUNCTION(wall_long_text) { PG_RETURN_INT32(Throw(Kind::kLongText, 2)); }
WLM_FUNCTION(wall_bad_alloc) { PG_RETURN_INT32(Throw(Kind::kBadAlloc, 2)); }
WLM_FUNCTION(wall_length_error) { PG_RETURN_INT32(Throw(Kind::kLength, 1)); }
WLM_FUNCTION(wall_int) { PG_RETURN_INT32(Throw(Kind::kInt, 3)); }
WLM_FUNCTION(wall_struct) { PG_RETURN_INT32(Throw(Kind::kStruct, 0)); }
WLM_FUNCTION(wall_too_much) { PG_RETURN_INT64(static_cast<int64>(AllocateTooMuch())); }

/* An error of PostgreSQL passes the guard as it is; no C++ object may be alive in its frame. */
WLM_FUNCTION(wall_ereport)
{
	ereport(ERROR, (errcode(ERRCODE_DIVISION_BY_ZERO), errmsg("plain error %d", PG_GETARG_INT32(0)),
	                errdetail("Detail."), errhint("Hint.")));
}

/* Leaves PG_TRY by a throw: PG_exception_stack then points into a frame that is gone. */
WLM_FUNCTION(wall_throw_in_try)
{
	volatile int result = 0;

	PG_TRY();
	{
		result = Throw(Kind::kRuntime, 3);
	}
	PG_CATCH();
	{
		result = -1; /* exceptions of C++ do not come here */
	}
	PG_END_TRY();
	PG_RETURN_INT32(result);
}

/* As above, two levels deep, interrupts held and with a context callback on the stack. */
WLM_FUNCTION(wall_throw_in_nested_try)
{
	ErrorContextCallback callback;
	volatile int result = 0;

	callback.callback = [](void *) { errcontext("callback of a frame that is gone"); };
	callback.arg = nullptr;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	HOLD_INTERRUPTS();
	PG_TRY();
	{
		PG_TRY();
		{
			result = Throw(Kind::kInt, 1);
		}
		PG_FINALLY();
		{
			result = 2;
		}
		PG_END_TRY();
	}
	PG_CATCH();
	{
		result = -1;
	}
	PG_END_TRY();
	RESUME_INTERRUPTS();
	PG_RETURN_INT32(result);
}

/* An error inside of PG_TRY is caught there, and then a C++ exception leaves the PG_CATCH's function. */
WLM_FUNCTION(wall_rethrown_as_exception)
{
	volatile bool caught = false;
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		ereport(ERROR, (errmsg("inner error")));
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		caught = true;
	}
	PG_END_TRY();
	PG_RETURN_INT32(caught ? Throw(Kind::kRuntime, 1) : 0);
}

/* A guarded function that calls a guarded function through PostgreSQL. */
WLM_FUNCTION(wall_nested)
{
	return DirectFunctionCall1(wall_runtime_error, PG_GETARG_DATUM(0));
}

WLM_FUNCTION(wall_alive) { PG_RETURN_INT32(alive); }
WLM_FUNCTION(wall_interrupts_held) { PG_RETURN_INT32(static_cast<int32>(InterruptHoldoffCount)); }
