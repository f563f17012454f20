/*
 * history.hpp
 *
 * The ring -> wlm.history, wlm.history_operator and wlm.plan, by the worker,
 * bounded by wlm.history_rows and wlm.history_days.
 */
#pragma once

#include "pg/postgres.hpp"

namespace wlm {

/*
 * Stores what was in the ring when it was called, in batches of one transaction each. Outside a
 * transaction. A batch whose transaction fails is lost; CountLostRecords() then says so.
 */
void WriteHistory();

/* There is nowhere to store it. */
void DiscardHistory();

/* Deletes what is beyond the bounds, about once a minute whatever the number of calls. Outside a transaction. */
void TrimHistory();

/* When the worker ends: what was taken from the ring and not committed counts as lost. Never raises. */
void CountLostRecords();

}  // namespace wlm
