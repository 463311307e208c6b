# Saddle.  `make demo` and `make test` are all a newcomer needs.
#
#   make            build/saddle, build/libsaddle.a, build/saddle.so
#   make demo       install what is missing, build, run examples/demo.lua
#   make test       the test suite            make check   it under ASan+UBSan
#   make bench      our speed beside PyTorch  make lint    gcc, clang, luacheck
#   make install PREFIX=/usr/local            make clean

CC       = gcc
BUILD    = build
PREFIX   = /usr/local
OPT      = -O2 -g
ARCH     = -march=native
SANITIZE =
WARN     = -Wall -Wextra -Wpedantic -Wshadow -Wvla -Wundef -Wpointer-arith \
           -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
OMP      = $(shell printf '\#include <omp.h>' | $(CC) -fopenmp -xc -E - \
           >/dev/null 2>&1 && echo -fopenmp)

# Commands are shown short; V=1 shows them whole.
Q        = $(if $(V),,@)
say      = $(if $(V),@:,@printf '  %-5s %s\n')

comma    := ,

# ---- where the libraries are -------------------------------------------
MULTI    := $(shell $(CC) -print-multiarch 2>/dev/null)
LUA_CFLAGS  := $(shell pkg-config --cflags lua5.4 2>/dev/null || \
               echo -I/usr/include/lua5.4)
# The static library, whole for C modules: calls within one file make a small
# op a twentieth faster and a replayed step a tenth.
LUA_A    := $(firstword $(wildcard /usr/lib/$(MULTI)/liblua5.4.a))
LUA_LIBS := $(if $(LUA_A),-Wl$(comma)--whole-archive $(LUA_A) \
            -Wl$(comma)--no-whole-archive,$(shell pkg-config --libs lua5.4 \
            2>/dev/null || echo -llua5.4))
# The OpenMP flavour of OpenBLAS by name, pinned: through an alternative
# the same program can run thirty times slower.
BLAS_DIR := $(firstword $(wildcard /usr/lib/$(MULTI)/openblas-openmp) \
            $(wildcard /usr/lib/openblas-openmp))
BLAS_INC := $(firstword $(wildcard /usr/include/$(MULTI)/openblas-openmp) \
            $(wildcard /usr/include/openblas))
BLAS_LIBS = $(if $(BLAS_DIR),-L$(BLAS_DIR) -Wl$(comma)-rpath$(comma)$(BLAS_DIR)) \
            -lopenblas -llapacke

CPPFLAGS = -Isrc -I$(BUILD)/gen $(LUA_CFLAGS) \
           $(if $(BLAS_INC),-isystem $(BLAS_INC)) -D_GNU_SOURCE
CFLAGS   = -std=c11 $(OPT) $(WARN) -fPIC -fno-math-errno -ffp-contract=off \
           $(OMP) $(SANITIZE)
VECTOR   = -O3 $(ARCH) -ffp-contract=fast -fno-trapping-math \
           -Wno-type-limits $(if $(findstring clang,$(CC)),-Wno-pass-failed)
LDFLAGS  = $(OMP) $(SANITIZE)
LIBS     = $(BLAS_LIBS) -lsleef -lz -lm -ldl

# ---- what is compiled ----------------------------------------------------
# kernels/every/*.c once for each dtype, kernels/real/*.c for f32 and f64.
DTYPES   = bool u8 i32 i64 f32 f64
TYPE_bool = _Bool
TYPE_u8  = uint8_t
TYPE_i32 = int32_t
TYPE_i64 = int64_t
TYPE_f32 = float
TYPE_f64 = double

CORE_DIRS = base kernels graph ops transform nn curvature optim io
CORE_SRC := $(foreach d,$(CORE_DIRS),$(wildcard src/$(d)/*.c))
EVERY_SRC := $(wildcard src/kernels/every/*.c)
REAL_SRC := $(wildcard src/kernels/real/*.c)
LUA_SRC  := $(wildcard src/lua/*.c)
HOST_SRC := $(wildcard src/host/*.c)
LUA_LIB  := $(sort $(wildcard lua/saddle/*.lua lua/saddle/*/*.lua))

obj      = $(patsubst src/%.c,$(BUILD)/obj/%.o,$(1))
CORE_OBJ = $(call obj,$(CORE_SRC)) \
  $(foreach t,$(DTYPES),$(EVERY_SRC:src/%.c=$(BUILD)/obj/%.$(t).o)) \
  $(foreach t,f32 f64,$(REAL_SRC:src/%.c=$(BUILD)/obj/%.$(t).o))
LUA_OBJ  = $(call obj,$(LUA_SRC)) $(BUILD)/obj/library.o
HOST_OBJ = $(call obj,$(HOST_SRC))

all: $(BUILD)/saddle $(BUILD)/libsaddle.a $(BUILD)/saddle.so

$(BUILD)/saddle: $(HOST_OBJ) $(LUA_OBJ) $(CORE_OBJ)
	$(say) LINK $@
	$(Q)$(CC) $(LDFLAGS) -Wl,-E -o $@ $^ $(LUA_LIBS) $(LIBS)

$(BUILD)/libsaddle.a: $(CORE_OBJ)
	$(say) AR $@
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/saddle.so: $(LUA_OBJ) $(CORE_OBJ)
	$(say) LINK $@
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,-z,nodelete -o $@ $^ $(LIBS)

$(BUILD)/obj/kernels/%.o: src/kernels/%.c
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(VECTOR) -MMD -MP -c -o $@ $<

define typed
$(BUILD)/obj/kernels/%.$(1).o: src/kernels/%.c
	@mkdir -p $$(@D)
	$$(say) CC "$$< ($(1))"
	$$(Q)$$(CC) $$(CPPFLAGS) $$(CFLAGS) $$(VECTOR) \
	  $$(if $$(findstring every,$$<),-ffp-contract=off) -Dreal=$$(TYPE_$(1)) \
	  -DREAL_$(1) -DREAL_NAME=$(1) -MMD -MP -c -o $$@ $$<
endef
$(foreach t,$(DTYPES),$(eval $(call typed,$(t))))

$(BUILD)/obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# The Lua library, as a C table of names and sources.
$(BUILD)/gen/library.c: src/lua/embed.lua $(LUA_LIB)
	@mkdir -p $(@D)
	$(say) EMBED $@
	$(Q)lua5.4 src/lua/embed.lua $@ $(LUA_LIB)

$(BUILD)/obj/library.o: $(BUILD)/gen/library.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# ---- the jobs ------------------------------------------------------------
deps:
	@sh src/host/install-deps.sh

# A second make, because the first may have been without the libraries.
demo: deps
	@$(MAKE) --no-print-directory -s $(BUILD)/saddle
	$(BUILD)/saddle examples/demo.lua

C_TESTS   = $(patsubst tests/c/%.c,$(BUILD)/tests/%,$(wildcard tests/c/test_*.c))
LUA_TESTS = $(sort $(wildcard tests/lua/*_test.lua))
T_TESTS   = $(sort $(wildcard tests/*.t tests/host/*.t))
# Idle threads that spin starve the others of a busy machine.
PROVE     = GOMP_SPINCOUNT=1000 SADDLE=$(BUILD)/saddle SADDLE_BUILD=$(BUILD) \
            prove --exec tests/run --timer

$(BUILD)/tests/%: tests/c/%.c tests/c/tap.h $(BUILD)/libsaddle.a
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(CPPFLAGS) -Itests/c $(CFLAGS) -o $@ $< $(BUILD)/libsaddle.a \
	  $(LDFLAGS) $(LIBS)

test: deps
	@$(MAKE) --no-print-directory run-tests

run-tests: all $(C_TESTS)
	@$(PROVE) $(C_TESTS) $(T_TESTS) $(LUA_TESTS)

# The same under the sanitizers, then the scripts with a collector that runs
# at every step.
ASAN = BUILD=build/asan OPT="-O1 -g" \
       SANITIZE="-fsanitize=address,undefined \
       -fno-sanitize-recover=undefined -fno-omit-frame-pointer"

check: deps
	@ASAN_OPTIONS=detect_leaks=1 LSAN_OPTIONS=suppressions=tests/lsan.txt \
	  SADDLE_SLOW=1 $(MAKE) --no-print-directory $(ASAN) run-tests
	@$(MAKE) --no-print-directory all
	@SADDLE_GC=aggressive $(PROVE) -j 2 $(LUA_TESTS)

$(BUILD)/bench_limits: tests/bench/limits.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -O3 $(ARCH) -fno-math-errno -fno-trapping-math $(OMP) -o $@ $< $(BLAS_LIBS) -lm

bench: all $(BUILD)/bench_limits
	$(BUILD)/saddle tests/bench/run.lua $(BENCH)

lint:
	@for cc in gcc clang; do for f in $(CORE_SRC) $(LUA_SRC) $(HOST_SRC); do \
	  $$cc $(CPPFLAGS) -std=c11 $(WARN) -Wno-unknown-pragmas \
	    -Wno-source-uses-openmp -Wno-unknown-warning-option -Werror \
	    -fsyntax-only $$f || exit 1; done; done
	luacheck -q lua examples tests

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/lua/5.4
	install $(BUILD)/saddle $(DESTDIR)$(PREFIX)/bin/saddle
	install -m 644 $(BUILD)/libsaddle.a $(DESTDIR)$(PREFIX)/lib/
	install $(BUILD)/saddle.so $(DESTDIR)$(PREFIX)/lib/lua/5.4/saddle.so
	cd src && find saddle.h $(CORE_DIRS) -name '*.h' -exec install -D -m 644 \
	  {} $(abspath $(DESTDIR)$(PREFIX))/include/saddle/{} \;

clean:
	rm -rf $(BUILD) out

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
.PHONY: all deps demo test run-tests check bench lint install clean
