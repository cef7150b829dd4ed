# Nestling: every entry point. `make help` lists them.
# One file, no recursion; what is built stands in explicit lists below.

PYTHON   ?= /usr/bin/python3
CC       := gcc
LD       := ld
OBJCOPY  := objcopy
HOSTCC   ?= gcc
LAB      ?= 0
PLATFORM ?= qemu-svm
SEED     ?= 1
B        := build

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:

# --- The host kernel and the VMM: one ELF ------------------------------------
KERNEL_SRC := \
    kernel/boot/entry.S \
    kernel/trap_entry.S \
    kernel/main.c \
    kernel/args.c \
    kernel/bootinfo.c \
    kernel/bundle.c \
    kernel/clock.c \
    kernel/console.c \
    kernel/cpu.c \
    kernel/format.c \
    kernel/frame.c \
    kernel/hostexit.c \
    kernel/lapic.c \
    kernel/mem.c \
    kernel/nmi_timer.c \
    kernel/paging.c \
    kernel/panic.c \
    kernel/pic.c \
    kernel/pit.c \
    kernel/todo.c \
    kernel/trace.c \
    kernel/trace_schema.c \
    kernel/trap.c

VMM_SRC := \
    vmm/dev/bus.c \
    vmm/dev/cmos.c \
    vmm/dev/kbd.c \
    vmm/dev/pic.c \
    vmm/dev/pic_core.c \
    vmm/dev/pit.c \
    vmm/dev/pit_channel.c \
    vmm/dev/testport.c \
    vmm/dev/uart.c \
    vmm/time/ledger.c \
    vmm/time/tick_policy.c \
    vmm/time/vclock.c \
    vmm/time/vtimer.c \
    vmm/sched/bvt.c \
    vmm/sched/calls.c \
    vmm/sched/credit.c \
    vmm/sched/credit_account.c \
    vmm/sched/heap.c \
    vmm/sched/params.c \
    vmm/sched/rr.c \
    vmm/sched/sched.c \
    vmm/sched/sedf.c \
    vmm/mmu/descend.c \
    vmm/mmu/ept.c \
    vmm/mmu/nested.c \
    vmm/mmu/npt.c \
    vmm/mmu/pt_format.c \
    vmm/mmu/shadow_emulate.c \
    vmm/mmu/shadow_entry.c \
    vmm/mmu/shadow_fault.c \
    vmm/mmu/shadow_fence.c \
    vmm/mmu/shadow_fill.c \
    vmm/mmu/shadow_pool.c \
    vmm/mmu/shadow_quick.c \
    vmm/mmu/shadow_role.c \
    vmm/mmu/shadow_root.c \
    vmm/mmu/shadow_sync.c \
    vmm/mmu/shadow_walk.c \
    vmm/mmu/shadow_write.c \
    vmm/mmu/vtlb.c \
    vmm/mmu/walk.c \
    vmm/mmu/walk2d.c \
    vmm/mmu/walk_trace.c \
    vmm/boot/elf32.c \
    vmm/boot/load.c \
    vmm/boot/mbinfo.c \
    vmm/boot/memmap.c \
    vmm/boot/multiboot.c \
    vmm/boot/raw.c \
    vmm/argtable.c \
    vmm/options.c \
    vmm/vmargs.c \
    vmm/bench.c \
    vmm/bench_sched.c \
    vmm/bitmaps.c \
    vmm/cr.c \
    vmm/doublefault.c \
    vmm/emulate.c \
    vmm/emulate_alu.c \
    vmm/emulate_memory.c \
    vmm/emulate_reg.c \
    vmm/emulate_string.c \
    vmm/exit.c \
    vmm/exit_cpuid.c \
    vmm/exit_cr.c \
    vmm/exit_dr.c \
    vmm/exit_invlpg.c \
    vmm/exit_io.c \
    vmm/exit_ltr.c \
    vmm/exit_msr.c \
    vmm/exit_nested.c \
    vmm/faultwalk.c \
    vmm/fetch.c \
    vmm/guestmem.c \
    vmm/insn.c \
    vmm/insn_name.c \
    vmm/insn_operand.c \
    vmm/insn_table.c \
    vmm/svm/svm.c \
    vmm/svm/svm_break.c \
    vmm/svm/svm_check.c \
    vmm/svm/svm_exit.c \
    vmm/svm/svm_maps.c \
    vmm/svm/svm_paging.c \
    vmm/svm/svm_run.S \
    vmm/svm/svm_todo.c \
    vmm/svm/svm_verified.S \
    vmm/svm/svm_verify.c \
    vmm/vmx/vmx.c \
    vmm/vmx/vmx_break.c \
    vmm/vmx/vmx_caps.c \
    vmm/vmx/vmx_check.c \
    vmm/vmx/vmx_check_guest.c \
    vmm/vmx/vmx_dump.c \
    vmm/vmx/vmx_exit.c \
    vmm/vmx/vmx_maps.c \
    vmm/vmx/vmx_paging.c \
    vmm/vmx/vmx_regs.c \
    vmm/vmx/vmx_run.S \
    vmm/vmx/vmx_setup.c \
    vmm/switch.c \
    vmm/vcpu.c \
    vmm/vcpu_events.c \
    vmm/vcpu_reset.c \
    vmm/vm.c \
    vmm/vm_devices.c \
    vmm/vm_screen.c \
    vmm/vmm.c

# --- Guests -------------------------------------------------------------------
GUESTS64   := pager hello ticker greedy probe walker crash canary hostile bench benchmmu yielder keeper stepper asker stray lines counter masker keeps behind watched regions churn spaces vtlb
GUESTS32   := pager32 pager-pae hello32 hello-pae walker-pae watched-pae vtlb32 taskswitch
GUESTS16   := real

# NOT IN A STARTER (grader/kit/makefile.py cuts these parts)
# --- Host-built unit tests and fuzz targets ------------------------------------
# A test is vmm/tests/test_NAME.c, a fuzz target vmm/tests/fuzz_NAME.c; each links
# host.c and the sources of UNIT_SRC_NAME or FUZZ_SRC_NAME.
UNIT_TESTS := insn guestmem emulate emulate_native walk walk_rules nested multiboot multiboot_bad bundle args format vmargs \
    bus pic pit uart testport cmos kbd vclock vtimer rr heap scheds \
    cr svm_exit svm_check vmx_exit vmx_caps vmx_check ept regions exit fetch faultwalk shadow shadow_pae vtlb vcpu events vm system vmm
FUZZERS    := insn emulate walk multiboot bundle args ports exit shadow

HOST_FRAMES := vmm/tests/host_frame.c
HOST_TRACE  := vmm/tests/host_trace.c kernel/trace.c kernel/trace_schema.c kernel/format.c \
    kernel/args.c
INSN_SRC    := vmm/insn.c vmm/insn_table.c vmm/insn_operand.c vmm/insn_name.c
EMULATE_SRC := vmm/emulate.c vmm/emulate_alu.c vmm/emulate_memory.c vmm/emulate_reg.c vmm/emulate_string.c

WALK_SRC    := vmm/mmu/walk.c vmm/mmu/walk2d.c vmm/mmu/descend.c vmm/mmu/ept.c \
    vmm/mmu/npt.c vmm/mmu/pt_format.c
BOOT_SRC    := vmm/boot/multiboot.c vmm/boot/elf32.c vmm/boot/raw.c vmm/boot/load.c \
    vmm/boot/mbinfo.c vmm/boot/memmap.c vmm/guestmem.c kernel/format.c
TIMER_SRC   := vmm/time/vtimer.c vmm/time/tick_policy.c vmm/time/ledger.c
# The schedulers, each with what it rests on; they write their reasons into the trace.
SCHED_SRC   := $(filter vmm/sched/%,$(VMM_SRC))
ARGS_SRC    := vmm/argtable.c vmm/vmargs.c vmm/options.c $(SCHED_SRC) $(HOST_TRACE)

# The VMM as a whole on the fake backend, without what needs ring 0.
CORE_SRC    := $(filter-out %.S vmm/svm/% vmm/vmx/% vmm/switch.c vmm/vmm.c vmm/bench%,$(VMM_SRC)) \
    vmm/fake/fake.c vmm/tests/host_cpu.c vmm/tests/rig.c $(HOST_FRAMES) $(HOST_TRACE)

UNIT_SRC_insn     := $(INSN_SRC)
UNIT_SRC_guestmem := vmm/guestmem.c
UNIT_SRC_emulate  := vmm/tests/emu_guest.c $(INSN_SRC) $(EMULATE_SRC)
UNIT_SRC_emulate_native := vmm/tests/emu_guest.c vmm/tests/native.c $(INSN_SRC) $(EMULATE_SRC)
UNIT_SRC_walk     := $(WALK_SRC) vmm/mmu/walk_trace.c vmm/guestmem.c vmm/tests/host_tables.c \
    $(HOST_TRACE)
UNIT_SRC_walk_rules := $(WALK_SRC) vmm/guestmem.c vmm/tests/host_tables.c
UNIT_SRC_nested   := vmm/mmu/nested.c $(WALK_SRC) vmm/guestmem.c $(HOST_FRAMES) $(HOST_TRACE)
UNIT_SRC_multiboot := $(BOOT_SRC) vmm/tests/host_image.c
UNIT_SRC_multiboot_bad := $(BOOT_SRC) vmm/tests/host_image.c
UNIT_SRC_bundle   := kernel/bundle.c kernel/format.c
UNIT_SRC_args     := kernel/args.c
UNIT_SRC_format   := kernel/format.c
UNIT_SRC_cr       := $(CORE_SRC)
UNIT_SRC_exit     := $(CORE_SRC)
UNIT_SRC_regions  := $(CORE_SRC)
UNIT_SRC_system   := $(CORE_SRC)
UNIT_SRC_fetch    := $(CORE_SRC)
UNIT_SRC_faultwalk := $(CORE_SRC)
UNIT_SRC_vcpu     := $(CORE_SRC)
UNIT_SRC_shadow   := $(CORE_SRC)
UNIT_SRC_shadow_pae := $(CORE_SRC)
UNIT_SRC_vtlb     := $(CORE_SRC)
UNIT_SRC_vm       := $(CORE_SRC)
UNIT_SRC_events   := $(CORE_SRC)
UNIT_SRC_svm_exit := vmm/svm/svm_exit.c vmm/svm/svm_check.c vmm/mmu/npt.c vmm/mmu/pt_format.c
UNIT_SRC_svm_check := vmm/svm/svm_check.c vmm/svm/svm_break.c vmm/mmu/npt.c vmm/mmu/pt_format.c
VMX_HOST_SRC := vmm/vmx/vmx_check.c vmm/vmx/vmx_check_guest.c vmm/vmx/vmx_dump.c vmm/vmx/vmx_caps.c \
    vmm/mmu/pt_format.c vmm/mmu/npt.c vmm/mmu/ept.c kernel/format.c vmm/tests/host_vmcs.c
UNIT_SRC_vmx_exit := vmm/vmx/vmx_exit.c $(VMX_HOST_SRC)
UNIT_SRC_vmx_caps := $(VMX_HOST_SRC)
UNIT_SRC_vmx_check := vmm/vmx/vmx_break.c $(VMX_HOST_SRC)
UNIT_SRC_ept      := $(UNIT_SRC_nested)
UNIT_SRC_vmargs   := $(ARGS_SRC)
UNIT_SRC_bus      := vmm/dev/bus.c
UNIT_SRC_pic      := vmm/dev/bus.c vmm/dev/pic.c vmm/dev/pic_core.c $(HOST_TRACE)
UNIT_SRC_pit      := vmm/dev/bus.c vmm/dev/pit.c vmm/dev/pit_channel.c $(TIMER_SRC) $(HOST_TRACE)
UNIT_SRC_uart     := vmm/dev/bus.c vmm/dev/uart.c
UNIT_SRC_testport := vmm/dev/bus.c vmm/dev/testport.c $(HOST_TRACE)
UNIT_SRC_cmos     := vmm/dev/bus.c vmm/dev/cmos.c
UNIT_SRC_kbd      := vmm/dev/bus.c vmm/dev/kbd.c
UNIT_SRC_vclock   := vmm/time/vclock.c
UNIT_SRC_vtimer   := $(TIMER_SRC) $(HOST_TRACE)
UNIT_SRC_rr       := $(SCHED_SRC) $(HOST_TRACE)
UNIT_SRC_heap     := vmm/sched/heap.c
UNIT_SRC_scheds   := $(SCHED_SRC) $(HOST_TRACE)
FUZZ_SRC_ports    := $(filter vmm/dev/% vmm/time/%,$(VMM_SRC)) $(HOST_TRACE)
FUZZ_SRC_walk     := $(WALK_SRC) vmm/guestmem.c
FUZZ_SRC_multiboot := $(BOOT_SRC)
FUZZ_SRC_bundle   := kernel/bundle.c kernel/format.c
FUZZ_SRC_args     := $(ARGS_SRC)
UNIT_SRC_vmm      := $(CORE_SRC) vmm/vmm.c $(filter vmm/bench%,$(VMM_SRC))
FUZZ_SRC_exit     := $(CORE_SRC)
FUZZ_SRC_shadow   := $(CORE_SRC) $(addprefix vmm/tests/shadow_,books.c history.c tlb.c)
FUZZ_SRC_insn     := $(INSN_SRC)
FUZZ_SRC_emulate  := vmm/tests/emu_guest.c $(INSN_SRC) $(EMULATE_SRC)

# IN A STARTER AGAIN
.DEFAULT_GOAL := all

# --- What people type -------------------------------------------------------------
# Each target with a ## is explained by `make help`.
.PHONY: help setup doctor run gdb monitor viz demo bench grade clean
export PYTHON

help: ## list the targets
	@echo "Nestling: a teaching hypervisor and lab kit. Targets:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo "Variables: LAB=$(LAB) PLATFORM=$(PLATFORM) SEED=$(SEED) PYTHON=$(PYTHON)"

setup: ## install what is missing (Debian, Ubuntu), or say what is
	@sh grader/setup.sh

# The first commands of the README build in a make of their own: before set-up
# there may be no compiler.
doctor: ## what is missing, and does a machine boot?
	@$(PYTHON) -m grader doctor

run: all ## run lab LAB's guests; results in build/run/
	$(PYTHON) -m grader run --lab $(LAB) --platform $(PLATFORM) --seed $(SEED)

gdb: all ## lab LAB's machine, stopped, under GDB, with commands that know VMs
	@$(PYTHON) -m grader gdb --lab $(LAB) --platform $(PLATFORM) --seed $(SEED)

monitor: all ## the same with QEMU's monitor in this terminal
	@$(PYTHON) -m grader monitor --lab $(LAB) --platform $(PLATFORM) --seed $(SEED)

RUN_DIR = $(B)/run/lab$(LAB)-$(PLATFORM)
viz: ## draw the last `make run` of LAB: report, timeline
	@test -f $(RUN_DIR)/trace.bin || { \
	    echo "no run of lab $(LAB) on $(PLATFORM) is here: make run LAB=$(LAB)" >&2; exit 2; }
	$(PYTHON) -m viz timeline $(RUN_DIR)/trace.bin -o $(RUN_DIR)/timeline.html
	$(PYTHON) -m viz report $(RUN_DIR) -o $(RUN_DIR)/report.html
	@echo "open $(RUN_DIR)/timeline.html and $(RUN_DIR)/report.html in a browser"

demo: setup ## install, build, run three guests and draw them: start here
	@$(MAKE) all
	@$(PYTHON) -m grader demo --seed $(SEED)

# NOT IN A STARTER
.PHONY: check torture starter autograder
starter: $(if $(filter 0,$(HANDOUTS)),,all) ## the project as students get it: LAB= OUT= [PRIOR= FROM= FORCE=1 HANDOUTS=0]
	@test -n "$(OUT)" || { echo "say where: make starter LAB=$(LAB) OUT=dir" >&2; exit 2; }
	@$(PYTHON) -m grader starter --lab $(LAB) --out "$(OUT)" --prior $(or $(PRIOR),reference) \
	    $(if $(FROM),--from "$(FROM)") $(if $(filter 1,$(FORCE)),--force) \
	    $(if $(filter 0,$(HANDOUTS)),--no-handouts)

autograder: ## what graders need, packed: LAB= OUT=file.zip (Gradescope) or .tar.gz
	@test -n "$(OUT)" || { echo "say where: make autograder LAB=$(LAB) OUT=lab$(LAB).zip" >&2; exit 2; }
	@$(PYTHON) -m grader autograder --lab $(LAB) --out "$(OUT)"

check: setup ## the whole test suite
	@$(MAKE) all unit
	@$(TESTED)
torture: all unit ## the long versions of the seeded tests
	@$(TESTED) --torture
# What the tests write goes to a folder of their own, in RAM where there is room. To look at
# what a test left that failed, run it alone: it is in pytest's usual folder then.
CHECK_JOBS ?= auto
TESTED = scratch=$$(sh grader/tests/scratch.sh) && trap 'rm -rf "$$scratch"' EXIT && \
    TMPDIR=$$scratch $(PYTHON) -m pytest -n $(CHECK_JOBS) -q

.PHONY: experiment handouts
experiment: all ## compare schedulers (build/experiment), or LAB=4: shadow and nested paging (build/experiment4)
	@$(PYTHON) -m grader experiment $(if $(filter 4,$(LAB)),--lab 4 --out $(B)/experiment4,--out $(B)/experiment)

handouts: all ## the handouts as a site and as PDF: build/handouts/index.html
	@$(PYTHON) -m grader.pages

# IN A STARTER AGAIN
bench: all ## measure against the budgets; build/bench.json
	$(PYTHON) -m grader bench

grade: ## grade SUBMISSION (folder, zip, tar) of LAB into OUT
	@$(PYTHON) -m grader grade --lab $(LAB) --platform $(PLATFORM) \
	    --submission "$(or $(SUBMISSION),.)" \
	    --out "$(or $(OUT),$(B)/grade)" \
	    $(if $(filter command environment,$(word 1,$(origin SEED))),--seed $(SEED)) \
	    $(if $(TESTS),--tests $(TESTS)) $(if $(ONLY),--only "$(ONLY)") \
	    $(if $(RECORD),--record "$(RECORD)") $(if $(DISPOSABLE),--disposable)

clean: ## remove build/
	rm -rf $(B)

# --- Kernel rules -----------------------------------------------------------------
KERNEL_CFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Werror -ffreestanding -fno-pic -fno-pie \
    -mno-red-zone -mgeneral-regs-only -mcmodel=small -fno-stack-protector \
    -fno-delete-null-pointer-checks -fno-asynchronous-unwind-tables -fno-omit-frame-pointer \
    -momit-leaf-frame-pointer -mpreferred-stack-boundary=3 -fcf-protection=none -I. -MMD -MP
KERNEL_OBJ := $(patsubst %,$(B)/obj/%.o,$(basename $(KERNEL_SRC) $(VMM_SRC)))

$(B)/obj/kernel/%.o: kernel/%.c Makefile
	@mkdir -p $(@D)
	@echo "  CC $<"; $(CC) $(KERNEL_CFLAGS) -c -o $@ $<
$(B)/obj/vmm/%.o: vmm/%.c Makefile
	@mkdir -p $(@D)
	@echo "  CC $<"; $(CC) $(KERNEL_CFLAGS) -c -o $@ $<
$(B)/obj/kernel/%.o: kernel/%.S Makefile
	@mkdir -p $(@D)
	@echo "  CC $<"; $(CC) $(KERNEL_CFLAGS) -c -o $@ $<
$(B)/obj/vmm/%.o: vmm/%.S Makefile
	@mkdir -p $(@D)
	@echo "  CC $<"; $(CC) $(KERNEL_CFLAGS) -c -o $@ $<

# nestling64.elf is for GDB; QEMU's -kernel takes 32-bit ELF only.
$(B)/nestling64.elf: $(KERNEL_OBJ) kernel/kernel.ld
	@echo "  LD $@"; $(LD) -m elf_x86_64 -z max-page-size=4096 -z noexecstack \
	    -T kernel/kernel.ld -o $@ $(filter %.o,$^)
$(B)/nestling.elf: $(B)/nestling64.elf
	@$(OBJCOPY) -O elf32-i386 $< $@
$(B)/nestling.bin: $(B)/nestling64.elf
	@$(OBJCOPY) -O binary $< $@

# The raw image: the loader, then the kernel, whole tracks long (Bochs asks for that).
$(B)/obj/kernel/boot/loader.o: kernel/boot/loader.S $(B)/nestling.bin Makefile
	@echo "  CC $<"; $(CC) -m32 -DKERNEL_SECTORS=$$(( ($$(stat -c %s $(B)/nestling.bin) + 511) / 512 )) -c -o $@ $<
$(B)/nestling.img: $(B)/obj/kernel/boot/loader.o $(B)/nestling.bin
	@echo "  LD $@"; $(LD) -m elf_i386 -Ttext 0x7c00 -e loader --oformat binary -o $@.loader $<
	@cat $@.loader $(B)/nestling.bin > $@
	@truncate -s %516096 $@
	@rm $@.loader
-include $(KERNEL_OBJ:.o=.d)

.PHONY: all kernel
kernel: $(B)/nestling.elf $(B)/nestling.img
all: kernel guests ## build the kernel and the guests

# --- Guest rules ----------------------------------------------------------------
# A guest is the library plus its own sources; objects are shared by width. 64-bit
# guests are linked as ELF64 (for GDB) and copied to ELF32, which Multiboot loads.
GUEST_LIB := args guest pic pit print table testport text trap
GUEST_LIB64 := $(GUEST_LIB) start64 trap64
GUEST_LIB32 := $(GUEST_LIB) start32 trap32

GUEST_OBJ_hello      := hello hello_long
GUEST_OBJ_ticker     := ticker
GUEST_OBJ_greedy     := greedy
GUEST_OBJ_probe      := probe
GUEST_OBJ_walker     := walker walker_pages
GUEST_OBJ_crash      := crash
GUEST_OBJ_canary     := canary canary_state canary_switch
GUEST_OBJ_hostile    := hostile/main hostile/recover hostile/enter hostile/ports hostile/registers \
    hostile/descriptors hostile/outside hostile/code hostile/testport hostile/death hostile/tables
GUEST_OBJ_bench      := bench
PAGER := $(patsubst %,pager/%,main model spaces cached access effect poke ops ops_spaces probe)
GUEST_OBJ_pager      := $(PAGER) pager/format_long pager/probe64
GUEST_OBJ_pager-pae  := $(PAGER) pager/format_pae pager/probe32
GUEST_OBJ_pager32    := $(PAGER) pager/format_legacy pager/probe32
GUEST_OBJ_benchmmu   := benchmmu
GUEST_OBJ_keeper     := keeper
GUEST_OBJ_lines      := lines
GUEST_OBJ_counter    := counter
GUEST_OBJ_masker     := masker
GUEST_OBJ_yielder    := yielder
GUEST_OBJ_stepper    := stepper stepper_code
GUEST_OBJ_asker      := asker
GUEST_OBJ_stray      := stray
GUEST_OBJ_keeps      := keeps
GUEST_OBJ_behind     := behind
GUEST_OBJ_watched    := watched
GUEST_OBJ_regions    := regions regions_use
GUEST_OBJ_churn      := churn
GUEST_OBJ_spaces     := spaces
GUEST_OBJ_vtlb       := vtlb vtlb_map pager/probe pager/probe64
GUEST_OBJ_vtlb32     := vtlb vtlb_map pager/probe pager/probe32
GUEST_OBJ_watched-pae := watched
GUEST_OBJ_taskswitch := taskswitch
GUEST_OBJ_hello32    := hello hello_flat
GUEST_OBJ_hello-pae  := hello hello_pae
GUEST_OBJ_walker-pae := walker walker_pages

GUEST_CFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Werror -ffreestanding -fno-pic -fno-pie \
    -fno-stack-protector -fno-delete-null-pointer-checks -fno-asynchronous-unwind-tables \
    -fcf-protection=none -mgeneral-regs-only -I. -MMD -MP
GUEST_CFLAGS64 := $(GUEST_CFLAGS) -m64 -mno-red-zone
GUEST_CFLAGS32 := $(GUEST_CFLAGS) -m32 -march=i686
GUEST_OBJ_DIR  := $(B)/obj/guests

$(GUEST_OBJ_DIR)/64/%.o: guests/%.c Makefile
	@mkdir -p $(@D)
	@echo "  CC $<"; $(CC) $(GUEST_CFLAGS64) -c -o $@ $<
$(GUEST_OBJ_DIR)/64/%.o: guests/%.S Makefile
	@mkdir -p $(@D)
	@echo "  CC $<"; $(CC) $(GUEST_CFLAGS64) -c -o $@ $<
$(GUEST_OBJ_DIR)/32/%.o: guests/%.c Makefile
	@mkdir -p $(@D)
	@echo "  CC $<"; $(CC) $(GUEST_CFLAGS32) -c -o $@ $<
$(GUEST_OBJ_DIR)/32/%.o: guests/%.S Makefile
	@mkdir -p $(@D)
	@echo "  CC $<"; $(CC) $(GUEST_CFLAGS32) -c -o $@ $<

GUESTS_ALONE := keeps # without the library
guest_objects = $(patsubst %,$(GUEST_OBJ_DIR)/$(1)/lib/%.o,$(if $(filter $(2),$(GUESTS_ALONE)),,$(GUEST_LIB$(1)))) \
    $(patsubst %,$(GUEST_OBJ_DIR)/$(1)/%.o,$(GUEST_OBJ_$(2)))

define guest64_rule
$(GUEST_OBJ_DIR)/$(1).elf64: $$(call guest_objects,64,$(1)) guests/guest.ld
	@echo "  LD $$@"; $$(LD) -m elf_x86_64 -z max-page-size=4096 -z noexecstack -T guests/guest.ld -o $$@ \
	    $$(filter %.o,$$^)
$(B)/guests/$(1).elf: $(GUEST_OBJ_DIR)/$(1).elf64
	@mkdir -p $$(@D)
	@$$(OBJCOPY) --strip-debug -O elf32-i386 $$< $$@
endef
define guest32_rule
$(B)/guests/$(1).elf: $$(call guest_objects,32,$(1)) guests/guest.ld
	@mkdir -p $$(@D)
	@echo "  LD $$@"; $$(LD) -m elf_i386 -z max-page-size=4096 -z noexecstack -T guests/guest.ld -o $$@ \
	    $$(filter %.o,$$^)
endef
define guest16_rule
$(B)/guests/$(1).bin: $(GUEST_OBJ_DIR)/32/$(1).o guests/real.ld
	@mkdir -p $$(@D)
	@echo "  LD $$@"; $$(LD) -m elf_i386 --oformat binary -T guests/real.ld -o $$@ $$<
endef
$(foreach g,$(GUESTS64),$(eval $(call guest64_rule,$(g))))
$(foreach g,$(GUESTS32),$(eval $(call guest32_rule,$(g))))
$(foreach g,$(GUESTS16),$(eval $(call guest16_rule,$(g))))

.PHONY: guests
guests: $(patsubst %,$(B)/guests/%.elf,$(GUESTS64) $(GUESTS32)) \
    $(patsubst %,$(B)/guests/%.bin,$(GUESTS16))
-include $(wildcard $(GUEST_OBJ_DIR)/*/*.d $(GUEST_OBJ_DIR)/*/*/*.d)

# --- Programs for a developer's machine ---------------------------------------------
# Sources of the kernel with a main() of their own. Programs of one folder share objects, and so
# the flags that these are compiled with; a graded build finds the objects by the folder's name
# (grader/grading/build.py).
HOST_CFLAGS := -std=gnu11 -g -Wall -Wextra -Werror -DHOST_BUILD -I. -MMD -MP
SIM_CFLAGS  := $(HOST_CFLAGS) -O2

# $(1): the folder below build/, $(2): flags to compile
define host_folder
$(B)/$(1)/obj/%.o: %.c Makefile
	@mkdir -p $$(@D)
	@echo "  CC $$<"; $$(HOSTCC) $(2) -c -o $$@ $$<
-include $$(wildcard $$(addprefix $(B)/$(1)/obj/,*/*.d */*/*.d */*/*/*.d))
endef
# $(1): its folder, $(2): its name, $(3): its sources, $(4): flags to link
define host_program
$(B)/$(1)/$(2): $(patsubst %.c,$(B)/$(1)/obj/%.o,$(sort $(3)))
	@echo "  LD $$@"; $$(HOSTCC) $(4) -o $$@ $$^
endef

# The simulator: the schedulers' sources with a world around them, or answering calls. A second
# one moves virtual times back so often that its decisions tell whether that is right.
SIM_SRC := $(filter vmm/sched/%,$(VMM_SRC)) \
    $(addprefix vmm/sched/sim/,fuzz.c host.c load.c main.c replay.c serve.c simtrace.c work.c world.c) \
    vmm/argtable.c vmm/vmargs.c kernel/trace.c kernel/trace_schema.c kernel/format.c kernel/args.c
$(eval $(call host_folder,sim,$(SIM_CFLAGS)))
$(eval $(call host_folder,sim-rebase,$(SIM_CFLAGS) -DBVT_REBASE=700 -DSEDF_REBASE=9000))
$(eval $(call host_program,sim,schedsim,$(SIM_SRC)))
$(eval $(call host_program,sim-rebase,schedsim,$(SIM_SRC)))
# The TLB's model, with a main() that reads accesses.
$(eval $(call host_program,sim,tlbsim,vmm/mmu/tlb.c vmm/mmu/sim/tlbsim.c))

# The code that makes and walks nested tables, in either format, answering calls (lab 5). Of
# another lab it may come as an object of the kernel: at a fixed place, its stack aligned to 8.
NEST_SRC := $(addprefix vmm/mmu/,descend.c ept.c nested.c npt.c pt_format.c walk.c walk2d.c \
    sim/arena.c sim/faults.c sim/nestsim.c sim/tell.c) vmm/exit_nested.c vmm/guestmem.c vmm/sched/sim/host.c \
    kernel/trace.c kernel/trace_schema.c kernel/format.c kernel/args.c
$(eval $(call host_folder,nest,$(SIM_CFLAGS) -fno-pie -mstackrealign))
$(eval $(call host_program,nest,nestsim,$(NEST_SRC),-no-pie -z noexecstack))

# The walk of a guest's own tables, gVA to gPA in every format, and a shadow's leaves, answering
# calls (lab 4). Of shadow_fill.c nothing else is asked, so what else it calls is not there.
WALKSIM_SRC := $(addprefix vmm/mmu/,descend.c pt_format.c shadow_fill.c shadow_role.c walk.c sim/arena.c sim/tell.c \
    sim/walksim.c) vmm/guestmem.c vmm/sched/sim/host.c
$(eval $(call host_folder,walk,$(SIM_CFLAGS) -ffunction-sections))
$(eval $(call host_program,walk,walksim,$(WALKSIM_SRC),-Xlinker --gc-sections))

# NOT IN A STARTER
# --- Host-built tests -------------------------------------------------------------
# The same sources as in the kernel, built for the host with AddressSanitizer and
# UBSan. `make unit` builds everything; grader/tests/test_unit.py runs it.
FUZZ_COUNT ?= 5000000
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
$(eval $(call host_folder,unit,$(HOST_CFLAGS) -O1 -fno-omit-frame-pointer $(SANITIZE)))

# $(1): the program's name, $(2): what it links beside its own source
host_test = $(call host_program,unit,$(1),vmm/tests/$(1).c vmm/tests/host.c $(2),$(SANITIZE))
$(foreach t,$(UNIT_TESTS),$(eval $(call host_test,test_$(t),$(UNIT_SRC_$(t)))))
$(foreach t,$(FUZZERS),$(eval $(call host_test,fuzz_$(t),vmm/tests/fuzz_main.c $(FUZZ_SRC_$(t)))))
$(eval $(call host_test,tool_insn,$(INSN_SRC)))

.PHONY: unit fuzz $(FUZZERS:%=fuzz-%)
unit: $(UNIT_TESTS:%=$(B)/unit/test_%) $(FUZZERS:%=$(B)/unit/fuzz_%) $(B)/unit/tool_insn
$(FUZZERS:%=fuzz-%): fuzz-%: $(B)/unit/fuzz_%
	$< $(FUZZ_COUNT) $(SEED)
fuzz: $(FUZZERS:%=fuzz-%) ## the fuzz targets at length (FUZZ_COUNT=)

# For tests that ask what is listed here: make -s print-UNIT_TESTS
print-%:
	@echo $($*)
# IN A STARTER AGAIN
