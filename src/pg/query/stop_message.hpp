/*
 * stop_message.hpp
 *
 * Why a query was stopped, in words: by the memory guard, a limit of its queue, or a rule. The messages
 * stand in docs/reference/messages.md.
 */
#pragma once

#include "pg/query/managed_query.hpp"

namespace wlm {

/* What the client is told instead of "due to user request". */
struct StopMessage {
	const char *message;    /* null: somebody else explains it */
	char *text;             /* the message with what it names; null = as it is */
	char *detail;
	const char *hint;
};

/* Of the stop that its slot asks for. Texts are in the current memory context. Takes state_lock. */
StopMessage MessageOfStop(const ManagedQuery *query);

}  // namespace wlm
