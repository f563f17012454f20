/*
 * hooks.hpp
 *
 * The places where PostgreSQL calls pg_wlm.
 */
#pragma once

namespace wlm {

void InitHooks();

}  // namespace wlm
