# weft - one Makefile. `make help` lists the targets.
CC      ?= gcc
BUILD   ?= build
PREFIX  ?= /usr/local
FFMPEG  ?= $(shell pkg-config --exists libavformat libavcodec libswscale libswresample libavutil 2>/dev/null && echo 1 || echo 0)
SAN     ?= 0
V       ?= 0

ifneq ($(SAN),0)
BUILD := build/san
SANFLAGS := -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined
endif

PKGS     := luajit libpng zlib libjpeg sndfile openblas jansson kissfft-float libpcre2-8 libutf8proc libcrypto libedit
PKGFLAGS := $(shell pkg-config --cflags luajit libpng zlib libjpeg sndfile openblas jansson kissfft-float libpcre2-8 libutf8proc libcrypto libedit 2>/dev/null)
LIBS     := $(shell pkg-config --libs luajit libpng zlib libjpeg sndfile openblas jansson kissfft-float libpcre2-8 libutf8proc libcrypto libedit 2>/dev/null) -lm -lpthread -ldl

# Clips need FFmpeg 5.1 or newer; without it one file says so.
ifneq ($(FFMPEG),0)
AVPKGS   := libavformat libavcodec libswscale libswresample libavutil
PKGFLAGS += $(shell pkg-config --cflags $(AVPKGS))
LIBS     += $(shell pkg-config --libs $(AVPKGS))
WITHOUT  := core/file/clip_none.c
else
WITHOUT  := core/file/clip_read.c core/file/clip_write.c
endif

WARN   := -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -pedantic -Werror
CFLAGS ?= -O2 -g
ALLCFLAGS := -std=c17 -D_GNU_SOURCE -fPIC -ffp-contract=off $(WARN) $(CFLAGS) $(SANFLAGS) -I. $(patsubst -I%,-isystem %,$(PKGFLAGS))

MACHINE := $(shell $(CC) -dumpmachine)
CORE    := $(filter-out $(WITHOUT),$(wildcard core/*/*.c))
BIND    := $(filter-out lua/main.c,$(wildcard lua/*.c))
OBJ     := $(CORE:%.c=$(BUILD)/%.o)

# Kernels are compiled once a level; the same source, other vector widths.
ifneq ($(filter x86_64%,$(MACHINE)),)
KERNELS := $(filter-out kernels/cpu/fill.c,$(wildcard kernels/cpu/*.c))
FLAGS_avx2       := -mavx2 -mfma -mf16c
FLAGS_avx512     := -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mf16c
FLAGS_avx512bf16 := $(FLAGS_avx512) -mavx512bf16
FLAGS_amx        := $(FLAGS_avx512bf16) -mamx-tile -mamx-bf16
LEVELS  := avx2 avx512 avx512bf16 amx
KOBJ    := $(foreach l,$(LEVELS),$(KERNELS:%.c=$(BUILD)/%.$(l).o))
endif
KOBJ    += $(patsubst %.c,$(BUILD)/%.o,$(wildcard kernels/cpu/fill.c))

LIB     := $(BUILD)/libweft.a
MODULE  := $(BUILD)/weft/core.so
UNIT    := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/*.c))

Q := $(if $(filter 0,$(V)),@)

.PHONY: all deps test tests unit demo docs bench bench-peers lint install uninstall clean help
all: $(LIB) $(if $(wildcard lua/main.c),weft) $(if $(BIND),$(MODULE))

help:
	@echo "make            build ./weft"
	@echo "make deps       install the Debian packages it needs (prints the line when not root)"
	@echo "make demo       make pictures with the model that ships"
	@echo "make test       run every test this machine can run"
	@echo "make bench      measure; make bench-peers: beside PyTorch (docs/performance.md)"
	@echo "make lint       warnings, style and luacheck"
	@echo "make docs       write docs/api.md anew from the lists of options and functions"
	@echo "make install    into PREFIX (now $(PREFIX)), below DESTDIR if set; make uninstall"
	@echo "make clean      remove what was built"
	@echo "SAN=1 builds with sanitizers, FFMPEG=0 without FFmpeg, V=1 shows commands"

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(if $(Q),@echo "  cc    $<")
	$(Q)$(CC) $(ALLCFLAGS) -MMD -MP -c $< -o $@

define level_rule
$(BUILD)/%.$(1).o: %.c
	@mkdir -p $$(@D)
	$(if $(Q),@echo "  cc    $$< ($(1))")
	$(Q)$(CC) $(ALLCFLAGS) -O3 $(FLAGS_$(1)) -DWF_LEVEL=$(1) -DWF_LEVEL_$(1) -MMD -MP -c $$< -o $$@
endef
$(foreach l,$(LEVELS),$(eval $(call level_rule,$(l))))

$(LIB): $(OBJ) $(KOBJ)
	$(if $(Q),@echo "  ar    $@")
	$(Q)rm -f $@ && ar rcs $@ $^

$(MODULE): $(BIND:%.c=$(BUILD)/%.o) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) -shared $(SANFLAGS) -o $@ $(BIND:%.c=$(BUILD)/%.o) -Wl,--whole-archive $(LIB) -Wl,--no-whole-archive $(LIBS)

weft: $(BUILD)/lua/main.o $(BIND:%.c=$(BUILD)/%.o) $(LIB)
	$(if $(Q),@echo "  ld    $@")
	$(Q)$(CC) $(SANFLAGS) -rdynamic -o $@ $(BUILD)/lua/main.o $(BIND:%.c=$(BUILD)/%.o) -Wl,--whole-archive $(LIB) -Wl,--no-whole-archive $(LIBS)

$(BUILD)/tests/unit/%: tests/unit/%.c $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALLCFLAGS) -MMD -MP -MF $@.d -MT $@ $< -o $@ $(LIB) -lcmocka $(LIBS)

unit: $(UNIT)
	$(Q)LSAN_OPTIONS=suppressions=tests/lsan.supp:print_suppressions=0 luajit tests/run.lua $(UNIT)

SPECS := $(wildcard tests/spec/*_spec.lua) $(wildcard tests/fault/*_spec.lua)
# The two commands of the README install what is missing first; the build needs what pkg-config
# then says, so it is a make of its own.
test: deps
	$(Q)$(MAKE) --no-print-directory all tests
	$(Q)luajit tests/run.lua $(wildcard tests/style/*.lua) $(UNIT) $(SPECS)
tests: $(UNIT)

demo: deps
	$(Q)$(MAKE) --no-print-directory all
	./weft demo

# ROWS is a Lua pattern of "group name dtype", FULL=1 adds the public models (minutes, 12 GB).
PROBE := build/tests/bench/probe.so
BENCH  = rows='$(ROWS)' samples=$(or $(SAMPLES),5) full=$(FULL) threads=$(THREADS)
$(PROBE): tests/bench/probe.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c17 -D_GNU_SOURCE $(WARN) -O2 -fPIC -shared $< -o $@ -lpthread

bench: all $(PROBE)
	$(Q)luajit tests/bench/run.lua $(BENCH) out=$(or $(OUT),build/bench.jsonl)

bench-peers: all $(PROBE)
	$(Q)"$$(sh tests/bench/venv.sh)" tests/bench/peers/run.py $(BENCH) out=$(or $(OUT),build/bench-peers.json)

docs: all
	./weft help --markdown > build/api.md && mv build/api.md docs/api.md

lint:
	$(Q)luacheck -q lua recipes tests
	$(Q)$(MAKE) --no-print-directory CC=clang BUILD=build/clang $(LIB:$(BUILD)/%=build/clang/%)

# What Debian 12 calls the libraries; ca-certificates and git are taken to be there.
DEBS := gcc make pkg-config luajit libluajit-5.1-dev libopenblas-dev libpng-dev libjpeg62-turbo-dev \
        libsndfile1-dev libjansson-dev libkissfft-dev libpcre2-dev libutf8proc-dev libssl-dev libedit-dev \
        libcmocka-dev lua-busted
deps:
	$(Q)if pkg-config --exists $(PKGS) cmocka 2>/dev/null && command -v busted luajit >/dev/null; then \
	  echo "every package is there"; \
	elif [ "$$(id -u)" = 0 ]; then \
	  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $(DEBS); \
	else echo "run as root: apt-get install $(DEBS)"; exit 1; fi

# ---- installing: everything stands below PREFIX; the program finds its files relative to itself ----
BINDIR    ?= $(PREFIX)/bin
LUADIR    ?= $(PREFIX)/share/lua/5.1
LUALIBDIR ?= $(PREFIX)/lib/lua/5.1
DATADIR   ?= $(PREFIX)/share/weft
DOCDIR    ?= $(PREFIX)/share/doc/weft
WEIGHTS   := recipes/micro/weights
ROOT      := $(if $(DESTDIR),$(abspath $(DESTDIR)))

# $(1) a folder of the tree, $(2) names of its files, $(3) where they go
install_tree = cd $(1) && find . -type f \( $(2) \) -exec install -D -m 644 {} "$(ROOT)$(3)/{}" \;

install: all
	$(Q)install -D -m 755 weft "$(ROOT)$(BINDIR)/weft"
	$(Q)install -D -m 755 $(MODULE) "$(ROOT)$(LUALIBDIR)/weft/core.so"
	$(Q)$(call install_tree,lua/weft,-name '*.lua',$(LUADIR)/weft)
	$(Q)$(call install_tree,recipes,-name '*.lua',$(DATADIR)/recipes)
	$(Q)$(call install_tree,docs,-name '*.md' -o -name LICENSE,$(DOCDIR))
	$(Q)if [ -d $(WEIGHTS) ]; then \
	  $(call install_tree,$(WEIGHTS),-name '*.json' -o -name '*.safetensors',$(DATADIR)/models/micro); fi
	@echo "installed: $(BINDIR)/weft, and require \"weft\" for luajit"
	@case "$(PREFIX)" in /usr|/usr/local) ;; *) \
	  echo "a plain luajit finds it with LUA_PATH='$(LUADIR)/?.lua;$(LUADIR)/?/init.lua;;'"; \
	  echo "  and LUA_CPATH='$(LUALIBDIR)/?.so;;'";; esac

uninstall:
	rm -rf "$(ROOT)$(LUADIR)/weft" "$(ROOT)$(LUALIBDIR)/weft" "$(ROOT)$(DATADIR)" "$(ROOT)$(DOCDIR)"
	rm -f "$(ROOT)$(BINDIR)/weft"

clean:
	rm -rf build weft

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
