// The commands of wlm_corpus; each returns the program's exit status and raises std::runtime_error.
#pragma once

namespace wlm::corpus {

// Designs a random schema from --seed and fills it in the connected database.
int Create(int argc, char **argv);

// Prints random queries on whatever schema the connected database has.
int Queries(int argc, char **argv);

// Prints concrete statements from a folder of templates.
int Expand(int argc, char **argv);

// Runs a file of statements, one a line, on several connections and in rounds with different settings.
int Run(int argc, char **argv);

}  // namespace wlm::corpus
