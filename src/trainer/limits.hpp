/*
 * limits.hpp
 *
 * What keeps a trainer from being felt: by the server that started it, by the
 * queries that run beside it, and by the machine when it goes wrong.
 */
#pragma once

#include <cstddef>

namespace wlm::trainer {

/*
 * For a child of a server: closes every descriptor but the standard ones, puts signals back to their defaults,
 * dies with the parent, leaves no core, is the kernel's first choice when memory runs out, and takes processor and
 * disk only when nobody else wants them. What the system does not allow is left as it is.
 */
void BecomeBackground();

/*
 * Hard limits, above what is asked for: they end a trainer that does not keep to it. Memory in bytes beyond what is
 * in use now (allocations fail), processor time in seconds (the process is killed).
 */
void LimitResources(size_t memory, double seconds);

/*
 * Processor time of all threads, or a part of the time that has passed, whichever is more: beside a busy server we get
 * next to none, and who waits for us will not wait for ever.
 */
double SpentSeconds();
double PeakMb();     /* of resident memory */

}  // namespace wlm::trainer
