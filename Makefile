# Builds and installs the pg_wlm module and the program pg_wlm_trainer with PGXS:
#
#     make && make install && make installcheck
#
# installcheck needs a server that was started with
#     shared_preload_libraries = 'pg_wlm'
#     wlm.database = 'contrib_regression'
# tools/check starts such a server, runs every suite and stops it again. Unit
# tests and benchmarks of src/core are built by CMakeLists.txt from the same files.
#
# USE_ASSERT_CHECKING=1 turns on our assertions against any server.
# pg_wlm_trainer trains trees only if XGBoost (Debian: libxgboost-dev) is found; WITHOUT_XGBOOST=1
# does not look for it. PG_CONFIG=... chooses the server. Building in another folder works too:
#     make -f /path/to/pg_wlm/Makefile

WLM_SOURCE_DIR := $(or $(VPATH),$(patsubst %/,%,$(dir $(firstword $(MAKEFILE_LIST)))))

EXTENSION = pg_wlm
DATA = $(patsubst $(WLM_SOURCE_DIR)/%,%,$(sort $(wildcard $(WLM_SOURCE_DIR)/pg_wlm--*.sql)))
PGFILEDESC = "pg_wlm - workload manager"

MODULE_big = pg_wlm
WLM_SOURCES := $(sort $(foreach dir,core core/* core/*/* pg pg/* pg/*/*,$(wildcard $(WLM_SOURCE_DIR)/src/$(dir)/*.cpp)))
OBJS = $(patsubst $(WLM_SOURCE_DIR)/%.cpp,%.o,$(WLM_SOURCES))

# Shares the objects of core; its own never go into the module.
WLM_TRAINER = pg_wlm_trainer
WLM_TRAINER_OBJS := $(patsubst $(WLM_SOURCE_DIR)/%.cpp,%.o,$(sort $(wildcard $(WLM_SOURCE_DIR)/src/trainer/*.cpp)))

WLM_DEPENDENCIES = $(OBJS:.o=.d) $(WLM_TRAINER_OBJS:.o=.d)
EXTRA_CLEAN = $(WLM_DEPENDENCIES) $(WLM_TRAINER) $(WLM_TRAINER_OBJS)

PG_CONFIG ?= pg_config
WLM_EIGEN_DIR := $(firstword $(wildcard /usr/include/eigen3 /usr/local/include/eigen3))

# Folders named by -isystem lose their -I: no warnings from headers that are not ours,
# and PostgreSQL's use of "register" (up to 15) is no error in C++17 and later.
PG_CPPFLAGS = -I$(WLM_SOURCE_DIR)/src -Wa,-I$(WLM_SOURCE_DIR) -isystem $(shell $(PG_CONFIG) --includedir-server) \
	$(addprefix -isystem ,$(WLM_EIGEN_DIR)) -DEIGEN_DONT_PARALLELIZE -MMD -MP
ifdef USE_ASSERT_CHECKING
PG_CPPFLAGS += -DUSE_ASSERT_CHECKING -D_GLIBCXX_ASSERTIONS
else
PG_CPPFLAGS += -DNDEBUG
endif
PG_CXXFLAGS = -std=c++20 -fvisibility=hidden -fvisibility-inlines-hidden \
	-Wextra -Wshadow -Wno-unused-parameter -Wno-missing-field-initializers
SHLIB_LINK += -lstdc++

# No SQL function of ours is worth inlining by the JIT, so no bitcode is built or installed.
override with_llvm = no

REGRESS := $(patsubst $(WLM_SOURCE_DIR)/sql/%.sql,%,$(sort $(wildcard $(WLM_SOURCE_DIR)/sql/*.sql)))
ISOLATION := $(patsubst $(WLM_SOURCE_DIR)/test/isolation/specs/%.spec,%,$(sort \
	$(wildcard $(WLM_SOURCE_DIR)/test/isolation/specs/*.spec)))
# The later --inputdir wins over the one that PGXS gives; results go to output_iso/.
ISOLATION_OPTS = --inputdir=$(WLM_SOURCE_DIR)/test/isolation --load-extension=pg_wlm

# initdb refuses root, so there installcheck leaves these tests to tools/check.
ifneq ($(shell id -u),0)
PROVE_TESTS = $(patsubst $(WLM_SOURCE_DIR)/%,%,$(sort $(wildcard $(WLM_SOURCE_DIR)/test/tap/*.pl)))
ifneq ($(PROVE_TESTS),)
TAP_TESTS = 1
endif
endif

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# wlm.database names one database, so both suites must use the same.
ISOLATION_TESTDB = $(CONTRIB_TESTDB)

# In another folder only sources are looked for here: VPATH would also take objects of an in-tree build.
ifneq ($(WLM_SOURCE_DIR),.)
override VPATH :=
vpath %.cpp $(WLM_SOURCE_DIR)
vpath %.control $(WLM_SOURCE_DIR)
endif

-include $(WLM_DEPENDENCIES)

# Found if a program with it compiles and links.
ifeq ($(filter clean distclean maintainer-clean uninstall,$(MAKECMDGOALS))$(WITHOUT_XGBOOST),)
WLM_XGBOOST := $(shell probe=$$(mktemp -d) && \
	echo 'int main() { int version; XGBoostVersion(&version, &version, &version); }' | \
	$(CXX) -x c++ -include xgboost/c_api.h - -o $$probe/probe -lxgboost >/dev/null 2>&1 && echo -lxgboost; rm -rf "$$probe")
endif
$(WLM_TRAINER_OBJS): override CPPFLAGS += $(if $(WLM_XGBOOST),-DWLM_HAVE_XGBOOST)

all: $(WLM_TRAINER)
$(WLM_TRAINER): $(WLM_TRAINER_OBJS) $(filter src/core/%,$(OBJS))
	$(CXX) $(CXXFLAGS) $^ $(LDFLAGS) $(LDFLAGS_EX) $(WLM_XGBOOST) -o $@

# Holds the models that ship; the folder too, so that one that is added counts.
src/pg/models/pretrained.o: $(wildcard $(WLM_SOURCE_DIR)/models/*.model) $(WLM_SOURCE_DIR)/models

.PHONY: install-trainer uninstall-trainer
install: install-trainer
install-trainer: $(WLM_TRAINER)
	$(MKDIR_P) '$(DESTDIR)$(bindir)'
	$(INSTALL_PROGRAM) $(WLM_TRAINER) '$(DESTDIR)$(bindir)/'
uninstall: uninstall-trainer
uninstall-trainer:
	rm -f '$(DESTDIR)$(bindir)/$(WLM_TRAINER)'

# Objects depend on the flags: switching USE_ASSERT_CHECKING or XGBoost must not leave a mixed module.
WLM_FLAGS_FILE := src/.build-flags
ifeq ($(filter clean distclean maintainer-clean uninstall,$(MAKECMDGOALS)),)
$(shell mkdir -p $(sort $(dir $(OBJS) $(WLM_TRAINER_OBJS))) src && \
	{ echo '$(subst ','\'',$(CXX) $(CXXFLAGS) $(CPPFLAGS) $(WLM_XGBOOST))' | cmp -s - $(WLM_FLAGS_FILE) || \
	  echo '$(subst ','\'',$(CXX) $(CXXFLAGS) $(CPPFLAGS) $(WLM_XGBOOST))' > $(WLM_FLAGS_FILE); })
endif
$(WLM_FLAGS_FILE): ;
$(OBJS) $(WLM_TRAINER_OBJS): $(WLM_FLAGS_FILE)
EXTRA_CLEAN += $(WLM_FLAGS_FILE)
