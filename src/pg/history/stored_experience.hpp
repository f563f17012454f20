/*
 * stored_experience.hpp
 *
 * An Experience as rows of wlm.history and wlm.history_operator, and back. The
 * tables are for people and reports first: names instead of codes, medians and
 * bounds instead of logarithms, null for what is not known. What comes back is
 * what learning needs: all but OIDs of roles, pid and indices of queues.
 *
 * What each expert said stands in the jsonb column `experts`, by its name:
 *     ms, kb                   median
 *     ms_deviation, ...        standard deviation of the natural logarithm
 *     share, memory_share      of the mixture, 0..1
 * Experts without an opinion are left out.
 */
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "executor/spi.h"
}

#include "core/decide/workload.hpp"
#include "core/learn/experience.hpp"

namespace wlm {

struct StoredColumn {
	const char *name;
	Oid type;
};

inline constexpr int kNumHistoryColumns = 47;  /* without id */
inline constexpr int kNumOperatorColumns = 19; /* history_id first */

extern const StoredColumn kHistoryColumns[kNumHistoryColumns];
extern const StoredColumn kOperatorColumns[kNumOperatorColumns];

/* Parameters of an INSERT; jsonb is passed as text. */
struct StoredRow {
	Datum values[kNumHistoryColumns];
	char nulls[kNumHistoryColumns];  /* ' ' or 'n', as SPI wants it */
};

/* In the current memory context; look-ups of names need a transaction. */
void EncodeExperience(const Experience &experience, const Workload &workload, StoredRow *row);
void EncodeOperator(const OperatorExperience &stored, int64 history_id, StoredRow *row);

/* Whether an operator says anything: it was observed, or something was predicted for it. */
bool WorthStoring(const OperatorExperience &stored);

/* Columns as in the tables above. The operators of an experience come after it, one by one. */
void DecodeExperience(const Datum *values, const bool *nulls, Experience *experience);
void DecodeOperator(const Datum *values, const bool *nulls, Experience *experience);

/* For samples, which leave the server: object identifiers stay. */
uint32 DatabaseHash(const Experience &loaded);

/* "INSERT INTO wlm.<table> (...) VALUES (...)", and its parameter types. In the current memory context. */
char *InsertStatement(const char *table, const StoredColumn *columns, int num_columns, Oid *types);

}  // namespace wlm
