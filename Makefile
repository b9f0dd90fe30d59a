# The commands of the house. `make` alone lists them.
.DEFAULT_GOAL := help
JOBS ?= $(shell nproc)
SITE ?= build/demo-site

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## install what building needs, only where it is missing
	@deploy/dependencies build

build: deps ## the program, at build/bin/fiducial, and its web application
	@cmake --preset release >build/configure.log || { cat build/configure.log; exit 1; }
	@cmake --build --preset release -j $(JOBS) --target fiducial fiducial_verify
	@deploy/web || echo "the web application was not built: the archive serves plain pages"

demo: build ## see the main job done on sample exams, with everything embedded
	@build/bin/fiducial demo --site $(SITE)

serve: build ## leave the demo archive running and print where to go
	@deploy/viewer || echo "no viewer is installed: images are shown as previews"
	@build/bin/fiducial demo --site $(SITE) --serve

test: ## everything a change needs, unit to end-to-end
	@test/run

test-deep: ## thread sanitizer, longer fuzzing, faults and soak
	@test/run --deep

fault: ## kill the archive and its node at many random moments
	@test/run --only fault --deep

soak: ## hours of store and retrieve, memory watched
	@test/run --only soak --deep

bench: ## the benchmarks, side by side with what they are compared with
	@bench/run

bench-pacs: ## the archive beside an ordinary PACS (Orthanc), in one run
	@bench/pacs/run

format: ## clang-format over the C++ sources
	@deploy/dependencies lint
	@git ls-files '*.cpp' '*.hpp' | xargs clang-format-14 -i

lint: deps ## clang-tidy over the C++ sources (slow)
	@deploy/dependencies lint
	@cmake --preset dev >build/configure-dev.log || { cat build/configure-dev.log; exit 1; }
	@git ls-files 'src/*.cpp' | grep -v _fuzz | xargs -n 8 -P $(JOBS) clang-tidy-14 -p build/dev --quiet

clean: ## remove what was built
	@rm -rf build

.PHONY: help deps build demo serve test test-deep fault soak bench bench-pacs format lint clean
