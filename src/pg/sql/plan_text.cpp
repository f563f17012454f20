/*
 * plan_text.cpp
 *
 * The permission check is the executor's own, on the range table as rewritten:
 * who may not run a statement learns nothing of it, not even its size.
 */
#include "pg/sql/plan_text.hpp"

extern "C" {
#include "catalog/namespace.h"
#include "executor/executor.h"
#include "nodes/parsenodes.h"
#include "parser/parse_node.h"
#include "tcop/tcopprot.h"
#include "utils/elog.h"
}

namespace wlm {

namespace {

struct TextContext {
	const char *sql;
	const char *function;
};

/* Error positions belong to the text that we were given, not to the statement that calls us. */
void TransposePosition(void *argument)
{
	const auto *context = static_cast<const TextContext *>(argument);
	const int position = geterrposition();

	if (position > 0) {
		errposition(0);
		internalerrposition(position);
		internalerrquery(context->sql);
	}
	errcontext("statement given to wlm.%s", context->function);
}

Node *RejectParameter(ParseState *state, ParamRef *reference)
{
	const auto *context = static_cast<const TextContext *>(state->p_ref_hook_state);

	ereport(ERROR,
	        (errcode(ERRCODE_UNDEFINED_PARAMETER),
	         errmsg("wlm.%s cannot plan a statement with parameter $%d", context->function, reference->number),
	         errhint("Write a typical value in place of each parameter."),
	         parser_errposition(state, reference->location)));
	return nullptr;
}

void SetUpParser(ParseState *state, void *argument)
{
	state->p_paramref_hook = RejectParameter;
	state->p_ref_hook_state = argument;
}

void CheckPermissions(PlannedStmt *statement)
{
#if PG_VERSION_NUM >= 160000
	ExecCheckPermissions(statement->rtable, statement->permInfos, true);
#else
	ExecCheckRTPerms(statement->rtable, true);
#endif
}

}  // namespace

PlannedStmt *PlanText(const char *sql, const char *function)
{
	TextContext context = {sql, function};
	ErrorContextCallback callback;

	callback.callback = TransposePosition;
	callback.arg = &context;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	List *parsed = pg_parse_query(sql);

	if (list_length(parsed) != 1)
		ereport(ERROR,
		        (errcode(ERRCODE_SYNTAX_ERROR),
		         errmsg("wlm.%s needs exactly one statement", function),
		         errdetail("The text contains %d statements.", list_length(parsed)),
		         errhint("Call it once for each statement.")));

	List *rewritten =
		pg_analyze_and_rewrite_withcb(linitial_node(RawStmt, parsed), sql, SetUpParser, &context, nullptr);

	if (list_length(rewritten) != 1)
		ereport(ERROR,
		        (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
		         errmsg("wlm.%s cannot plan a statement that rules rewrite to %d statements", function,
		                list_length(rewritten)),
		         errhint("Call it for each statement that the rules produce.")));

	Query *query = linitial_node(Query, rewritten);

	if (query->commandType == CMD_UTILITY)
		ereport(ERROR,
		        (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
		         errmsg("wlm.%s cannot plan a utility statement", function),
		         errdetail("Only SELECT, INSERT, UPDATE, DELETE, MERGE and VALUES have a plan."),
		         errhint("Give it the query alone, without EXPLAIN, CREATE TABLE AS, COPY or DECLARE CURSOR.")));

	PlannedStmt *statement = pg_plan_query(query, sql, CURSOR_OPT_PARALLEL_OK, nullptr);

	CheckPermissions(statement);
	error_context_stack = callback.previous;
	return statement;
}

}  // namespace wlm
