# SPDX-License-Identifier: Apache-2.0
# Builds the zygote program of one interpreter, apart from all others: every
# file of it includes what ask_python.py tells of that interpreter. For GNU make,
# called by Makefile, which has the flags and the list of sources.
#
#   program     what is built             python   the interpreter's path
#   dir         where its objects are     sources  with the headers
#   ask_python, srcdir, CC, CFLAGS, cppflags, cflags, link, libs
objects := $(patsubst sandbox-helper/%.c,$(dir)/%.o,$(filter %.c,$(sources)))

$(program): $(objects) $(filter %.la,$(libs))
	$(link) -o $@ $(objects) $(PYTHON_LIBS) $(libs)

# Made first, and read again then: PYTHON_CFLAGS and PYTHON_LIBS.
include $(dir)/python.mk

$(dir)/python.mk: config.status $(ask_python)
	mkdir -p $(dir)
	'$(python)' -I -B $(ask_python) make >$@.tmp
	mv $@.tmp $@

$(dir)/python_paths.h: config.status $(ask_python) | $(dir)/python.mk
	'$(python)' -I -B $(ask_python) header >$@.tmp
	mv $@.tmp $@

$(dir)/%.o: $(srcdir)/sandbox-helper/%.c $(dir)/python_paths.h $(dir)/python.mk
	$(CC) -I$(dir) $(cppflags) $(PYTHON_CFLAGS) $(cflags) $(CFLAGS) \
	  -MMD -MP -c -o $@ $<

-include $(objects:.o=.d)
