# ccpool. `make` builds, `make test` tests; `make help` lists the targets.

LUA ?= lua5.4
ifeq ($(origin CC),default)
CC := gcc
endif
CLANG ?= clang
CLANG_FORMAT ?= clang-format
PREFIX ?= /usr/local
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
VARIANT ?= release
export LUA CC SPECS TAGS NOTAGS BUSTED_FLAGS BUSTED_OUTPUT LABEL

LUA_V := $(if $(findstring 5.5,$(LUA)),5.5,5.4)

Q := $(if $(V),,@)
SUBMAKE = +$(Q)$(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(JOBS))
WITH_ENV = eval "$$(tools/env.sh)" &&

# ---- What is built ----------------------------------------------------------------

# Each version of Lua has objects of its own.
BUILD := build$(if $(filter 5.5,$(LUA_V)),/lua5.5)
OUT := $(BUILD)$(if $(filter release,$(VARIANT)),,/$(VARIANT))

SOURCES := $(sort $(wildcard csrc/*.c csrc/*/*.c csrc/*/*/*.c))
HEADERS := $(sort $(wildcard csrc/*.h csrc/*/*.h csrc/*/*/*.h))
CTEST_SOURCES := $(sort $(wildcard spec/c/test_*.c))
FUZZ_SOURCES := $(sort $(wildcard spec/c/fuzz_*.c))
HELPER_SOURCES := $(filter-out $(CTEST_SOURCES) $(FUZZ_SOURCES),$(sort $(wildcard spec/c/*.c)))
C_FILES := $(SOURCES) $(HEADERS) $(sort $(wildcard spec/c/*.c spec/c/*.h))
LUA_FILES := $(sort $(wildcard lua/*.lua lua/*/*.lua lua/*/*/*.lua lua/*/*/*/*.lua))

OBJECTS := $(SOURCES:%.c=$(OUT)/obj/%.o)
CTEST_OBJECTS := $(CTEST_SOURCES:%.c=$(OUT)/obj/%.o)
FUZZ_OBJECTS := $(FUZZ_SOURCES:%.c=$(OUT)/obj/%.o)
HELPER_OBJECTS := $(HELPER_SOURCES:%.c=$(OUT)/obj/%.o)
CTESTS := $(CTEST_SOURCES:spec/c/%.c=$(OUT)/ctest/%)
FUZZERS := $(FUZZ_SOURCES:spec/c/%.c=$(OUT)/%)
CORE := $(OUT)/ccpool/core.so
ARCHIVE := $(OUT)/libccpool.a

# ---- How ---------------------------------------------------------------------------

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
  -Wmissing-prototypes -Wundef -Wwrite-strings -Wcast-qual -Wvla

CHECKED := -DCCP_DEBUG -fno-omit-frame-pointer
# A submit passes through a dozen small functions of as many files: inlining across files
# is worth a tenth of it. The C tests link the same objects without.
LTO := $(if $(findstring gcc,$(CC)),-flto=auto -ffat-lto-objects)
FLAGS_release := -O2 -g -fno-plt $(LTO)
FLAGS_debug := -O0 -g $(CHECKED) -DCCP_WRAP_ALLOC \
  -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc
FLAGS_asan := -O1 -g $(CHECKED) -fsanitize=address,undefined -fno-sanitize-recover=undefined
FLAGS_tsan := -O1 -g $(CHECKED) -fsanitize=thread
FLAGS_lsan := -O1 -g $(CHECKED) -fsanitize=leak
FLAGS_fuzz := -O1 -g $(CHECKED) -fsanitize=address,undefined -fno-sanitize-recover=undefined
FLAGS_fuzz += -fsanitize=fuzzer-no-link
FLAGS_lint-gcc := -O2 -Werror
FLAGS_lint-clang := -O2 -Werror

# Lua's flags are asked for once, when first needed: its headers may have been installed
# a moment before.
ifdef LUA_INCDIR
LUA_CFLAGS := -isystem $(LUA_INCDIR)
else
LUA_CFLAGS = $(eval LUA_CFLAGS := $$(patsubst -I%,-isystem %,\
  $$(shell tools/lua-flags.sh --cflags)))$(LUA_CFLAGS)
endif
LUA_LIBS = $(eval LUA_LIBS := $$(shell tools/lua-flags.sh --libs))$(LUA_LIBS)

COMPILE = $(CC) -std=c11 -D_GNU_SOURCE -fPIC -fvisibility=hidden -pthread $(WARNINGS) \
  $(FLAGS_$(VARIANT)) -Icsrc $(LUA_CFLAGS) $(CPPFLAGS) $(CFLAGS)
LINK_FLAGS = -pthread $(FLAGS_$(VARIANT)) $(LDFLAGS)

# ---- Targets for people --------------------------------------------------------------

.DEFAULT_GOAL := all
.PHONY: all debug deps run env test ctest asan tsan fuzz-short lint format floors docs \
  bench figures rock leaks fuzz model stress install clean distclean help

all: $(CORE)  ## build the C module (V=1 shows the commands)

debug:  ## build it unoptimized and with assertions, in a folder debug
	$(SUBMAKE) VARIANT=debug all

deps:  ## install what running and testing need and is missing
	$(Q)tools/deps.sh test

run:  ## install what is missing, build, and compare the backends (ARGS=...)
	$(Q)tools/deps.sh run
	$(SUBMAKE) all
	$(Q)$(WITH_ENV) $(LUA) bin/ccpool compare $(ARGS)

env:  ## print what a shell needs: eval "$(make -s env)"
	@tools/env.sh

test:  ## C tests and specs (SPECS=, TAGS=, NOTAGS=, BUSTED_FLAGS=)
	$(Q)tools/deps.sh test
	$(SUBMAKE) all ctest-programs
	$(Q)tools/test.sh $(OUT) all

ctest:  ## the C tests, plain and with the thread sanitizer
	$(Q)tools/deps.sh build
	$(SUBMAKE) ctest-programs
	$(SUBMAKE) VARIANT=tsan ctest-programs
	$(Q)LABEL=tsan $(TSAN_ENV) tools/test.sh $(BUILD)/tsan ctest
	$(Q)tools/test.sh $(OUT) ctest

asan:  ## all tests with the address and undefined behaviour sanitizers
	$(Q)tools/deps.sh test sanitize
	$(SUBMAKE) VARIANT=asan all ctest-programs $(BUILD)/asan/bin/$(notdir $(LUA))
	$(Q)LABEL=asan $(ASAN_ENV) tools/test.sh $(BUILD)/asan all

tsan:  ## all tests with the thread sanitizer
	$(Q)tools/deps.sh test sanitize
	$(SUBMAKE) VARIANT=tsan all ctest-programs $(BUILD)/tsan/bin/$(notdir $(LUA))
	$(Q)LABEL=tsan $(TSAN_ENV) tools/test.sh $(BUILD)/tsan all

fuzz: FUZZ_SECONDS ?= 300
fuzz: fuzz-short  ## the same for FUZZ_SECONDS (300)

# Inputs are kept in spec/c/corpus; what a run finds beyond them goes to build's fuzz/found.
fuzz-short:  ## each fuzzer of spec/c for FUZZ_SECONDS (20)
	$(Q)tools/deps.sh fuzz
	$(SUBMAKE) VARIANT=fuzz CC=$(CLANG) fuzzers
	$(Q)for source in $(FUZZ_SOURCES:spec/c/%.c=%); do \
	  mkdir -p $(BUILD)/fuzz/found/$$source && \
	  $(ASAN_ENV) $(BUILD)/fuzz/$$source $(BUILD)/fuzz/found/$$source \
	    $(wildcard spec/c/corpus/)$$source -max_total_time=$(or $(FUZZ_SECONDS),20) \
	    -timeout=10 -artifact_prefix=$(BUILD)/fuzz/ || exit 1; \
	done

model:  ## look through a model of the wake-up protocol, with spin (FULL=1: a larger one)
	$(Q)tools/deps.sh model
	$(Q)tools/model.sh $(if $(FULL),full)

stress: all $(if $(findstring san,$(VARIANT)),$(OUT)/bin/$(notdir $(LUA)))
stress:  ## a random mix of everything for SECONDS (60), from SEED (the time); VARIANT=tsan
	$(Q)eval "$$(tools/env.sh $(OUT))" && CCPOOL_BUILD=$(OUT) \
	  $(if $(findstring tsan,$(VARIANT)),$(TSAN_ENV) $(STEADY)) \
	  $(if $(findstring asan,$(VARIANT)),$(ASAN_ENV)) \
	  $(if $(findstring san,$(VARIANT)),$(OUT)/bin/$(notdir $(LUA)),$(LUA)) \
	  spec/stress/stress.lua $(or $(SECONDS),60) $(SEED)

lint:  ## every static check
	$(Q)tools/deps.sh lint
	$(SUBMAKE) -k -O lint-lua lint-format floors lint-size lint-rockspec lint-headers \
	  lint-gcc lint-clang

format:  ## lay out the C files
	$(Q)$(CLANG_FORMAT) -i $(C_FILES)

floors:  ## check that the C files include lower floors only
	$(Q)$(LUA) tools/floors

docs:  ## API documentation, in docs/api
	$(Q)tools/deps.sh docs
	$(Q)ldoc -q -c config.ld .

bench:  ## the figures of docs/performance.md (BENCH=...)
	$(Q)tools/deps.sh run
	$(SUBMAKE) all
	$(Q)$(WITH_ENV) $(LUA) bench/run.lua $(BENCH)

figures:  ## the picture of the README, from a run here (FIGURE="cpu io" on an idle machine)
	$(Q)tools/deps.sh run
	$(SUBMAKE) all
	$(Q)mkdir -p docs/figures
	$(Q)$(WITH_ENV) $(LUA) bin/ccpool compare $(or $(FIGURE),sleep io) -w 1,2,4 \
	  --runs 7 --svg docs/figures/speedup.svg

rock:  ## build and use the rock in a scratch tree
	$(Q)tools/deps.sh rock
	$(Q)tools/rock-check.sh

install: all  ## into PREFIX (/usr/local), below DESTDIR
	$(Q)for file in $(LUA_FILES:lua/%=%); do \
	  install -D -m 644 "lua/$$file" "$(DESTDIR)$(PREFIX)/share/lua/$(LUA_V)/$$file" || exit 1; \
	done
	$(Q)install -D -m 755 $(CORE) "$(DESTDIR)$(PREFIX)/lib/lua/$(LUA_V)/ccpool/core.so"
	$(Q)install -D -m 755 bin/ccpool "$(DESTDIR)$(PREFIX)/bin/ccpool"
	$(Q)sed -i '1s/lua5\.4$$/lua$(LUA_V)/' "$(DESTDIR)$(PREFIX)/bin/ccpool"
	$(Q)for page in man/*.1; do \
	  install -D -m 644 "$$page" "$(DESTDIR)$(PREFIX)/share/$${page%/*}/man1/$${page##*/}" || exit 1; \
	done
	$(Q)install -D -m 644 completions/ccpool.bash \
	  "$(DESTDIR)$(PREFIX)/share/bash-completion/completions/ccpool"
	$(Q)install -D -m 644 completions/_ccpool \
	  "$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_ccpool"
	$(Q)install -D -m 644 completions/ccpool.fish \
	  "$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/ccpool.fish"

clean:  ## remove what was built
	$(Q)rm -rf build docs/api

distclean: clean  ## remove the fetched dependencies too
	$(Q)rm -rf .deps

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## /\1: /p' Makefile | awk -F': ' '{ printf "%-12s%s\n", $$1, $$2 }'

# ---- Leaks ---------------------------------------------------------------------------

# Valgrind reads all memory that is mapped when it looks for leaks, page by page: the
# arena, which is sparse, has to be small there. In processes it would take seconds each,
# so the specs have the leak sanitizer: it looks when a program ends whose Lua state has been
# closed. A process worker leaves without, as it should.
VALGRIND := CCPOOL_ARENA=1G valgrind -q --leak-check=full --show-leak-kinds=definite \
  --errors-for-leak-kinds=definite --error-exitcode=9
LEAK_SPECS := $(wildcard spec/values spec/unit spec/flow spec/sharing spec/regress)
LSAN_ENV = LSAN_OPTIONS="$$LSAN_OPTIONS"

leaks:  ## lost memory: C tests with valgrind and the leak sanitizer, specs with the latter
	$(Q)tools/deps.sh test sanitize leaks
	$(SUBMAKE) ctest-programs
	$(SUBMAKE) VARIANT=lsan all ctest-programs $(BUILD)/lsan/bin/$(notdir $(LUA))
	$(Q)for test in buf codec codec_memory task arena; do \
	  echo "test_$$test" && $(VALGRIND) $(OUT)/ctest/test_$$test || exit 1; \
	done
	$(Q)LABEL=leaks SPECS="$(or $(SPECS),$(LEAK_SPECS))" NOTAGS="$(or $(NOTAGS),slow,crash)" \
	  $(LSAN_ENV) tools/test.sh $(BUILD)/lsan all

# ---- Sanitizers ------------------------------------------------------------------------

# The interpreter is not instrumented; a copy of it that loads the runtime first stands
# in for it. (LD_PRELOAD would reach every shell a spec starts, and some die of it.)
# Leaks are not looked for: Lua's own would be found. Deadly signals stay deadly signals:
# specs on crashes expect them.
SIGNALS_STAY = handle_segv=0:handle_sigbus=0:handle_abort=0:handle_sigill=0:handle_sigfpe=0
ASAN_ENV = ASAN_OPTIONS="detect_leaks=0:strict_string_checks=1:$(SIGNALS_STAY):$$ASAN_OPTIONS" \
  UBSAN_OPTIONS="print_stacktrace=1:$$UBSAN_OPTIONS"
TSAN_ENV = TSAN_OPTIONS="die_after_fork=0:report_thread_leaks=0:halt_on_error=1:exitcode=66:$(TSAN_MORE):$$TSAN_OPTIONS"
# It cannot bear an address space that is shuffled too well.
STEADY = $$(setarch "$$(uname -m)" -R echo setarch "$$(uname -m)" -R 2>/dev/null)
TSAN_MORE = ignore_noninstrumented_modules=1:suppressions=$(CURDIR)/tools/tsan.supp:$(SIGNALS_STAY)

$(OUT)/bin/$(notdir $(LUA)):
	@mkdir -p $(@D)
	$(Q)patchelf --output $@ \
	  --add-needed "$$(readlink -f "$$($(CC) -print-file-name=lib$(VARIANT).so)")" \
	  "$$(readlink -f "$$(command -v $(LUA))")"

# ---- Files -----------------------------------------------------------------------------

.PHONY: ctest-programs fuzzers objects FORCE
ctest-programs: $(CTESTS); @:
fuzzers: $(FUZZERS); @:
objects: $(OBJECTS) $(CTEST_OBJECTS) $(HELPER_OBJECTS); @:
.SECONDARY: $(CTEST_OBJECTS) $(FUZZ_OBJECTS)

# These two change when the flags or the set of sources do, and what depends on them is
# made again.
$(OUT)/flags: FORCE
	@mkdir -p $(@D)
	@test -n '$(LUA_CFLAGS)' || \
	  { echo "no headers of Lua $(LUA_V): run 'make deps', or set LUA_INCDIR" >&2; exit 1; }
	@echo '$(COMPILE) $(LINK_FLAGS)' | cmp -s - $@ || echo '$(COMPILE) $(LINK_FLAGS)' >$@

$(OUT)/sources: FORCE
	@mkdir -p $(@D)
	@echo '$(SOURCES)' | cmp -s - $@ || echo '$(SOURCES)' >$@

$(OUT)/obj/%.o: %.c $(OUT)/flags
	@mkdir -p $(@D)
	$(if $(Q),@echo '  CC    $<$(if $(filter-out release,$(VARIANT)), ($(VARIANT)))')
	$(Q)$(COMPILE) -MMD -MP -c $< -o $@

$(CORE): $(OBJECTS) $(OUT)/sources
	@mkdir -p $(@D)
	$(if $(Q),@echo '  LINK  $@')
	$(Q)$(CC) -shared -Wl,-z,nodelete $(LINK_FLAGS) $(OBJECTS) -o $@.new
	@mv -f $@.new $@

$(ARCHIVE): $(OBJECTS) $(OUT)/sources
	@rm -f $@
	$(Q)ar rcs $@ $(OBJECTS)

$(OUT)/ctest/%: $(OUT)/obj/spec/c/%.o $(HELPER_OBJECTS) $(ARCHIVE)
	@mkdir -p $(@D)
	$(if $(Q),@echo '  LINK  $@')
	$(Q)$(CC) $(LINK_FLAGS) $< $(HELPER_OBJECTS) $(ARCHIVE) -Wl,--as-needed $(LUA_LIBS) -lm -o $@

# They also try what is done where the layout of tables is not known.
$(OUT)/ctest/test_codec $(OUT)/ctest/test_codec_tables: \
  LDFLAGS += -fno-lto -Wl,--wrap=ccp_raw_known

# Its malloc and realloc fail on demand; that cannot be optimized across files.
$(OUT)/ctest/test_codec_memory: LDFLAGS += -fno-lto -Wl,--wrap=malloc -Wl,--wrap=realloc

$(OUT)/fuzz_%: $(OUT)/obj/spec/c/fuzz_%.o $(HELPER_OBJECTS) $(ARCHIVE)
	$(Q)$(CC) $(LINK_FLAGS) -fsanitize=fuzzer $< $(HELPER_OBJECTS) $(ARCHIVE) \
	  -Wl,--as-needed $(LUA_LIBS) -lm -o $@

-include $(patsubst %.o,%.d,$(OBJECTS) $(CTEST_OBJECTS) $(FUZZ_OBJECTS) $(HELPER_OBJECTS))

# ---- Static checks -----------------------------------------------------------------------

.PHONY: lint-lua lint-format lint-size lint-rockspec lint-headers lint-gcc lint-clang

HASH := \#
LUA_SCRIPTS = $(shell grep -ls '^$(HASH)!.*lua' $(wildcard bin/* tools/*))

lint-lua:
	@mkdir -p build
	$(Q)luacheck -q --no-color $(wildcard lua spec bench examples tools .busted rockspec/*.rockspec) \
	  $(LUA_SCRIPTS)

lint-format:
	$(Q)test -z '$(C_FILES)' || $(CLANG_FORMAT) --dry-run -Werror $(C_FILES)

lint-size:
	$(Q)$(LUA) tools/style-size $(C_FILES) $(LUA_FILES) $(wildcard bench/*.lua) $(LUA_SCRIPTS)

lint-rockspec:
	$(Q)$(LUA) tools/rockspec-sync --check

# A header compiles alone.
lint-headers: $(OUT)/headers.ok
	@:
$(OUT)/headers.ok: $(HEADERS) Makefile
	@mkdir -p $(@D)
	$(Q)for header in $(HEADERS:csrc/%=%); do \
	  echo "#include \"$$header\"" | $(COMPILE) -Werror -fsyntax-only -x c - || exit 1; \
	done
	@touch $@

lint-gcc:
	$(SUBMAKE) VARIANT=lint-gcc CC=gcc objects

lint-clang:
	$(SUBMAKE) VARIANT=lint-clang CC=$(CLANG) objects
