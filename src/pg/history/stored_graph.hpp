/*
 * stored_graph.hpp
 *
 * Graphs of wlm.plan for those who read history: looked up by fingerprint, the
 * recent ones kept. Used by replay, train(), evaluate() and the training worker.
 */
#pragma once

#include "pg/postgres.hpp"

#include "core/plan/plan_graph.hpp"

namespace wlm {

inline constexpr int16 kGraphFormat = 1; /* PlanNode[] as of version 1.0, native byte order */

struct StoredGraphs;

/* In the current memory context, with which it goes. SPI must be connected as long as it is used. */
StoredGraphs *OpenStoredGraphs();

/*
 * The finished graph, valid until the next call; null if wlm.plan does not have it, in a format that is not
 * known, or if it holds what no plan can be. May raise.
 */
const PlanGraph *FindStoredGraph(StoredGraphs *graphs, uint64 fingerprint, CommandKind command);

}  // namespace wlm
