/*
 * configuration.hpp
 *
 * Changes of the configuration made in SQL, told to the launcher at commit.
 */
#pragma once

namespace wlm {

void InitConfiguration();

}  // namespace wlm
