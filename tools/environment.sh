# Sourced by the scripts here (. tools/environment.sh [RANKS [THREADS]]): what Open MPI and OpenBLAS need on a small
# machine. RANKS (4) and THREADS per rank (1) are the most that will be started. Values already set are kept.

sslmpi_environment() {
  local ranks=${1:-4} threads=${2:-1}

  # sslmpi has its own thread team; a second one inside BLAS would fight with it.
  export OPENBLAS_NUM_THREADS=1

  if [ "$(id -u)" -eq 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  fi

  # More threads than cores: start anyway, do not pin, and give the core away while waiting.
  if [ $((ranks * threads)) -gt "$(nproc)" ]; then
    export OMPI_MCA_rmaps_base_oversubscribe=${OMPI_MCA_rmaps_base_oversubscribe:-1}
    export OMPI_MCA_mpi_yield_when_idle=${OMPI_MCA_mpi_yield_when_idle:-1}
    export OMPI_MCA_hwloc_base_binding_policy=${OMPI_MCA_hwloc_base_binding_policy:-none}
  fi

  # Containers often forbid reading another process's memory, which shared-memory messages would use.
  if [ "$(cat /proc/sys/kernel/yama/ptrace_scope 2>/dev/null || echo 0)" -gt 0 ] ||
    [ "$(awk '$1 == "Seccomp:" { print $2 }' /proc/self/status 2>/dev/null)" = 2 ]; then
    export OMPI_MCA_btl_vader_single_copy_mechanism=${OMPI_MCA_btl_vader_single_copy_mechanism:-none}
  fi
}

sslmpi_environment "$@"
