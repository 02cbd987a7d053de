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
TEST_SRC = $(wildcard tests/c/*.c)
TEST_BIN = $(TEST_SRC:tests/c/%.c=$(BUILD)/tests/%)

.PHONY: all run test test-long check asan bench docs install uninstall fmt clean deps deps-test help base layers ctest
.DEFAULT_GOAL := all

all: $(BUILD)/luma/core.so $(BUILD)/luma/boot.so $(BUILD)/luma-h5 ## build everything (packages must be there: make deps)

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

# ---- build ----

# The suffix of a file names the instruction set it may use; which one runs is
# chosen at run time.  Elsewhere than on x86-64 these files compile to nothing.
ifeq ($(shell uname -m),x86_64)
$(BUILD)/obj/%_avx2.o: ISA = -mavx2 -mfma -mf16c
$(BUILD)/obj/%_avx512.o: ISA = -mbmi2 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mprefer-vector-width=512
endif

$(BUILD)/obj/%.o: csrc/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(ISA) $(PKG_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/luma/core.so: $(CORE_OBJ) $(LUA_OBJ)
	@mkdir -p $(@D)
	$(CC) -shared -Wl,-z,nodelete -o $@ $^ $(LDFLAGS) $(PKG_LIBS) -lm -lpthread

$(BUILD)/luma/boot.so: $(BUILD)/obj/lua/boot.o $(BUILD)/obj/core/cpu.o
	@mkdir -p $(@D)
	$(CC) -shared -o $@ $^ $(LDFLAGS)

$(BUILD)/luma-h5: csrc/tools/luma-h5.c
	@mkdir -p $(@D)
	$(CC) $(filter-out -fPIC,$(CFLAGS)) $(LDFLAGS) -MMD -MP -o $@ $< $(H5_FLAGS)

# C tests link the core without Lua: that it works is the proof of the layers.
$(BUILD)/tests/%: tests/c/%.c $(CORE_OBJ)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -o $@ $< $(CORE_OBJ) $(LDFLAGS) $(PKG_CFLAGS) $(PKG_LIBS) -lm -lpthread

-include $(CORE_OBJ:.o=.d) $(LUA_OBJ:.o=.d) $(BUILD)/obj/lua/boot.d $(wildcard $(BUILD)/tests/*.d) $(wildcard $(BUILD)/*.d)

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
test-long: all ## the tests that train for minutes (not part of make test)
	@scripts/runtests long

check: layers ## format, lint, layers, both compilers, fast tests
	@scripts/check

layers:
	@scripts/layers

ctest: $(TEST_BIN)
	@for t in $(TEST_BIN); do $$t || exit 1; done

asan: deps-test ## the tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(MAKE) --no-print-directory -s -j$$(nproc) BUILD=build/asan OPT=-O1 \
	  EXTRA_CFLAGS="-DLUMA_DEBUG -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all -fno-omit-frame-pointer" \
	  EXTRA_LDFLAGS="-fsanitize=address,undefined" asan-run
asan-run: all $(TEST_BIN)
	@LUMA_BUILD=$(BUILD) scripts/runtests asan
.PHONY: asan-run

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
	install -m 755 $(BUILD)/luma/core.so $(BUILD)/luma/boot.so $(DESTDIR)$(PREFIX)/lib/lua/5.4/luma/
	install -m 755 $(BUILD)/luma-h5 $(DESTDIR)$(PREFIX)/lib/lua/5.4/luma/luma-h5
	cp -R lua/luma $(DESTDIR)$(PREFIX)/share/lua/5.4/
	install -m 755 scripts/luma $(DESTDIR)$(PREFIX)/bin/luma

uninstall: ## remove what install wrote
	rm -rf $(DESTDIR)$(PREFIX)/lib/lua/5.4/luma $(DESTDIR)$(PREFIX)/share/lua/5.4/luma $(DESTDIR)$(PREFIX)/bin/luma

clean: ## remove build/
	rm -rf build
