/*
 * pretrained.cpp
 *
 * The models that come with pg_wlm, as they stand in models/ of the source tree
 * (models/README.md says how they were made), part of the module itself: so
 * there is no file to be found or to be missing when the server starts.
 */
#include "pg/models/published_models.hpp"

#define WLM_EMBED(symbol, file)                                                                                \
	asm(".section .rodata\n"                                                                                   \
	    ".balign 8\n"                                                                                          \
	    ".local " #symbol "_begin\n" #symbol "_begin:\n"                                                       \
	    ".incbin \"" file "\"\n"                                                                               \
	    ".local " #symbol "_end\n" #symbol "_end:\n"                                                           \
	    ".previous\n");                                                                                        \
	extern "C" const std::byte symbol##_begin[];                                                               \
	extern "C" const std::byte symbol##_end[];

#if __has_include("../models/trees.model")
WLM_EMBED(wlm_pretrained_trees, "models/trees.model")
#define WLM_HAVE_TREES
#endif
#if __has_include("../models/graph.model")
WLM_EMBED(wlm_pretrained_graph, "models/graph.model")
#define WLM_HAVE_GRAPH
#endif
#if __has_include("../models/gate.model")
WLM_EMBED(wlm_pretrained_gate, "models/gate.model")
#define WLM_HAVE_GATE
#endif

namespace wlm {

std::span<const std::byte> PretrainedBlob(ModelId which)
{
	switch (which) {
#ifdef WLM_HAVE_TREES
		case kTreesModel: return {wlm_pretrained_trees_begin, wlm_pretrained_trees_end};
#endif
#ifdef WLM_HAVE_GRAPH
		case kGraphModel: return {wlm_pretrained_graph_begin, wlm_pretrained_graph_end};
#endif
#ifdef WLM_HAVE_GATE
		case kGateModel: return {wlm_pretrained_gate_begin, wlm_pretrained_gate_end};
#endif
		default: return {};
	}
}

}  // namespace wlm
