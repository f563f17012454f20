/*
 * index_build.hpp
 *
 * How much memory the index builds of one utility statement would use if they
 * had it: what is to be put into maintenance_work_mem. Only statements that run in one
 * transaction from begin to end (HAZARDS W6): CREATE INDEX, REINDEX of one index or
 * table, REFRESH MATERIALIZED VIEW, ALTER TABLE ... ADD PRIMARY KEY or UNIQUE; none of them
 * CONCURRENTLY, no REINDEX of something partitioned.
 */
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/nodes.h"
}

namespace wlm {

/* By the node's type alone: whether the next function is worth calling. */
bool MayBuildIndexes(const Node *utility);

/*
 * kB of the largest build, builds of one statement run one after the other; 0 = none, or nobody knows. On an estimate of rows
 * and widths, so rather too much than too little. Leaves no lock behind; may raise what the statement itself would (missing privileges).
 */
double IndexBuildKb(const Node *utility);

}  // namespace wlm
