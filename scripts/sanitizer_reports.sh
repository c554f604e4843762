# sanitizer_reports.sh: for scripts that run tests under a sanitizer to source, from the top folder.

# fresh_reports VARIANT: set `reports` to an empty folder for the reports of that build.
fresh_reports() {
  reports=$PWD/build/$1/reports
  rm -rf "$reports"
  mkdir -p "$reports"
}

# end_with_reports STATUS: print every report, and exit with STATUS, or 1 where there is a report.
end_with_reports() {
  status=$1
  for report in "$reports"/*; do
    [ -f "$report" ] || continue
    echo "${0##*/}: $report" >&2
    cat "$report" >&2
    status=1
  done
  exit "$status"
}
