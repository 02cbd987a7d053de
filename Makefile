# luma: build, run, test.  `make help` lists the targets.

BUILD   ?= build
CC      ?= cc
OPT     ?= -O3
PREFIX  ?= /usr/local
DESTDIR ?=
PKGS     = lua5.4 openblas libpng libjpeg libmd zlib

# Asked once a run, and only by targets that compile.
PKG_CFLAGS = $(eval PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS)))$(PKG_CFLAGS)
PKG_LIBS   = $(eval PKG_LIBS := $(shell pkg-config --libs openblas libpng libjpeg libmd zlib))$(PKG_LIBS)
H5_FLAGS   = $(eval H5_FLAGS := $(shell pkg-config --cflags --libs hdf5))$(H5_FLAGS)

WARN   = -Wall -Wextra -Werror -Wshadow -Wundef -Wwrite-strings -Wstrict-prototypes -Wmissing-prototypes
CFLAGS = -std=c11 -D_GNU_SOURCE $(OPT) -g -fPIC -fvisibility=hidden -fno-math-errno -fno-trapping-math \
         -ffp-contract=off $(WARN) -Icsrc $(EXTRA_CFLAGS)
LDFLAGS = $(EXTRA_LDFLAGS)

CORE_SRC = $(wildcard csrc/core/*.c csrc/kern/*.c csrc/kern/simd/*.c csrc/image/*.c csrc/io/*.c csrc/ref/*.c)
LUA_SRC  = $(filter-out csrc/lua/boot.c,$(wildcard csrc/lua/*.c))
CORE_OBJ = $(CORE_SRC:csrc/%.c=$(BUILD)/obj/%.o)
LUA_OBJ  = $(LUA_SRC:csrc/%.c=$(BUILD)/obj/%.o)
# Files of plain loops (core/wide.h) are compiled once per instruction set, and
# one core library is linked per set; luma.boot chooses at run time.
SETS     = $(if $(filter x86_64,$(shell uname -m)),avx2 avx512)
WIDE_OBJ := $(patsubst csrc/%.c,$(BUILD)/obj/%.o,$(shell grep -l '^\#include "core/wide\.h"' csrc/*/*.c))
SAME_OBJ = $(filter-out $(WIDE_OBJ),$(CORE_OBJ))
set_obj  = $(SAME_OBJ) $(WIDE_OBJ:$(BUILD)/obj/%=$(BUILD)/obj/$(1)/%)
CORE_SO  = $(BUILD)/luma/core.so $(SETS:%=$(BUILD)/luma/core_%.so)
TEST_SRC = $(wildcard tests/c/*.c)
TEST_BIN = $(TEST_SRC:tests/c/%.c=$(BUILD)/tests/plain/%) \
           $(foreach set,$(SETS),$(TEST_SRC:tests/c/%.c=$(BUILD)/tests/$(set)/%))

.PHONY: all run test test-long check asan bench docs install uninstall fmt clean deps deps-test help base layers ctest
.DEFAULT_GOAL := all

all: $(CORE_SO) $(BUILD)/luma/boot.so $(BUILD)/luma-h5 ## build everything (packages must be there: make deps)

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

# ---- build ----

# The suffix of a file, or the folder of its object, names the instruction set it
# may use; which one runs is chosen at run time.  Elsewhere than on x86-64 the
# suffixed files compile to nothing.
AVX2   = -mavx2 -mfma -mf16c
AVX512 = -mbmi2 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma
ifeq ($(shell uname -m),x86_64)
$(BUILD)/obj/%_avx2.o: ISA = $(AVX2)
$(BUILD)/obj/%_avx512.o: ISA = $(AVX512) -mprefer-vector-width=512
$(BUILD)/obj/avx2/%.o: ISA = $(AVX2)
$(BUILD)/obj/avx512/%.o: ISA = $(AVX512) -mprefer-vector-width=512
endif

V ?=
Q  = $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $(2))

COMPILE = $(CC) $(CFLAGS) $(ISA) $(PKG_CFLAGS) -MMD -MP -c $< -o $@
$(BUILD)/obj/%.o: csrc/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(COMPILE)
define set_rules
$(BUILD)/obj/$(1)/%.o: csrc/%.c
	@mkdir -p $$(@D)
	$$(call say,CC,"$$< ($(1))")
	$$(Q)$$(COMPILE)
$(BUILD)/luma/core_$(1).so: $(call set_obj,$(1)) $(LUA_OBJ)
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(LINK)
$(BUILD)/tests/$(1)/%: tests/c/%.c $(call set_obj,$(1))
	@mkdir -p $$(@D)
	$$(call say,TEST,$$@)
	$$(Q)$$(CC) $$(CFLAGS) -MMD -MP -o $$@ $$< $(call set_obj,$(1)) $$(LDFLAGS) $$(PKG_CFLAGS) $$(PKG_LIBS) -lm -lpthread
endef
LINK = -shared -Wl,-z,nodelete -o $@ $^ $(LDFLAGS) $(PKG_LIBS) -lm -lpthread

$(foreach set,$(SETS),$(eval $(call set_rules,$(set))))

$(BUILD)/luma/core.so: $(CORE_OBJ) $(LUA_OBJ)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(LINK)

$(BUILD)/luma/boot.so: $(BUILD)/obj/lua/boot.o $(BUILD)/obj/core/cpu.o
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -shared -o $@ $^ $(LDFLAGS)

$(BUILD)/luma-h5: csrc/tools/luma-h5.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(filter-out -fPIC,$(CFLAGS)) $(LDFLAGS) -MMD -MP -o $@ $< $(H5_FLAGS)

# C tests link the core without Lua: that it works is the proof of the layers.
$(BUILD)/tests/plain/%: tests/c/%.c $(CORE_OBJ)
	@mkdir -p $(@D)
	$(call say,TEST,$@)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -o $@ $< $(CORE_OBJ) $(LDFLAGS) $(PKG_CFLAGS) $(PKG_LIBS) -lm -lpthread

-include $(CORE_OBJ:.o=.d) $(LUA_OBJ:.o=.d) $(BUILD)/obj/lua/boot.d $(wildcard $(BUILD)/tests/*/*.d) $(wildcard $(BUILD)/*.d) \
  $(foreach set,$(SETS),$(WIDE_OBJ:$(BUILD)/obj/%.o=$(BUILD)/obj/$(set)/%.d))

# ---- packages ----

deps: ## install the packages that building and running need
	@scripts/deps run
deps-test: ## install the packages that the tests need as well
	@scripts/deps run test

# ---- use ----

run: deps ## build, then run the main job on the generated default data
	@$(MAKE) --no-print-directory -s -j$$(nproc) all
	@scripts/luma covid

test: deps-test ## build, then run every test; ends with "N passed, N failed"
	@$(MAKE) --no-print-directory -s -j$$(nproc) all $(TEST_BIN)
	@scripts/runtests all
test-long: deps-test ## what takes longer: minutes of training, mutants, another Debian
	@$(MAKE) --no-print-directory -s -j$$(nproc) all $(TEST_BIN)
	@scripts/runtests long
	@scripts/runtests torture
	@scripts/mutate
	@scripts/distro trixie

check: layers ## before every commit: format, lint, layers, both compilers, C tests, fast specs
	@scripts/check

layers:
	@scripts/layers

ctest-build: $(TEST_BIN)
ctest: $(TEST_BIN) ## the C tests on every instruction set of this processor
	@scripts/runtests ctest

SANITIZE = address,undefined,float-cast-overflow
asan-build: deps-test
	@$(MAKE) --no-print-directory -s -j$$(nproc) BUILD=build/asan SETS= OPT=-O1 \
	  EXTRA_CFLAGS="-DLUMA_DEBUG -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer" \
	  EXTRA_LDFLAGS="-fsanitize=address,undefined" all ctest-build
asan: asan-build ## the tests under AddressSanitizer, UndefinedBehaviorSanitizer, LeakSanitizer
	@LUMA_BUILD=build/asan scripts/runtests asan
asan-quick: asan-build ## the same for border, codecs and readers (part of CI)
	@LUMA_BUILD=build/asan scripts/runtests asan $(foreach s,proxy fuzz codec hostile npy store csv json hash image,tests/$(s)_spec.lua)

tsan: deps-test ## the C tests of the thread pool, loader and kernels under ThreadSanitizer
	@$(MAKE) --no-print-directory -s -j$$(nproc) BUILD=build/tsan SETS= OPT=-O1 \
	  EXTRA_CFLAGS="-fsanitize=thread -fno-omit-frame-pointer" EXTRA_LDFLAGS="-fsanitize=thread" ctest-build
	@scripts/tsan

valgrind: deps-test ## a sample of specs under valgrind (no AVX-512 there: LUMA_ISA=avx2)
	@$(MAKE) --no-print-directory -s -j$$(nproc) all
	@scripts/valgrind

coverage: deps-test ## lines of C and Lua that the fast tests run, one table
	@scripts/coverage

torture: deps-test ## the specs of the ops, collecting at every new tensor
	@$(MAKE) --no-print-directory -s -j$$(nproc) all
	@scripts/runtests torture
mutate: deps-test ## small faults put into the source: the tests must notice each
	@$(MAKE) --no-print-directory -s -j$$(nproc) all $(TEST_BIN)
	@scripts/mutate
.PHONY: ctest-build asan-build asan-quick tsan valgrind coverage torture mutate

fuzz: deps-test ## run each fuzz target for SECONDS (10)
	@scripts/fuzz $(or $(SECONDS),10)
.PHONY: fuzz

base: all ## train the embedded base anew (lua/luma/models/tiny.safetensors; minutes)
	@LUA_PATH="$(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;$(CURDIR)/scripts/base/?.lua;;" LUA_CPATH="$(CURDIR)/$(BUILD)/?.so;;" lua5.4 scripts/base/train.lua

bench: all ## time the hot paths, beside every peer that is installed
	@scripts/luma bench

docs: all ## write build/manual.md from the op table and the examples
	@scripts/luma manual > build/manual.md

fmt: ## format the C sources
	@clang-format -i $$(find csrc tests -name '*.[ch]')

install: all ## install under PREFIX (default /usr/local)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/lua/5.4/luma $(DESTDIR)$(PREFIX)/share/lua/5.4
	install -m 755 $(CORE_SO) $(BUILD)/luma/boot.so $(DESTDIR)$(PREFIX)/lib/lua/5.4/luma/
	install -m 755 $(BUILD)/luma-h5 $(DESTDIR)$(PREFIX)/lib/lua/5.4/luma/luma-h5
	cp -R lua/luma $(DESTDIR)$(PREFIX)/share/lua/5.4/
	install -m 755 scripts/luma $(DESTDIR)$(PREFIX)/bin/luma

uninstall: ## remove what install wrote
	rm -rf $(DESTDIR)$(PREFIX)/lib/lua/5.4/luma $(DESTDIR)$(PREFIX)/share/lua/5.4/luma $(DESTDIR)$(PREFIX)/bin/luma

clean: ## remove build/
	rm -rf build
