# --- Your work --------------------------------------------------------------------
# The files of earlier labs may have come as objects (prior/); your own source, if you
# put it where it belongs, is taken instead.
$(B)/obj/%.o: prior/%.o
	@mkdir -p $(@D)
	@cp $< $@

.PHONY: check
check: all ## the public tests of LAB on the files in this folder
	$(PYTHON) -m grader grade --lab $(LAB) --submission . --tests public --out $(B)/grade
