#!/bin/sh
# Prints a new folder for what the tests write: in RAM where there is room, else on the disk.
# The machines' RAM files are what makes a disk slow: some GB in all, each page written once.
# Not where files of that folder may not be executed, as in a container's small /dev/shm.
ROOM_KB=6000000

room() {
    df -Pk /dev/shm | awk 'NR == 2 {print $4}'
}

free_ram() {
    awk '$1 == "MemAvailable:" {print $2}' /proc/meminfo
}

in_ram() {
    [ -w /dev/shm ] && [ "$(room)" -ge $ROOM_KB ] && [ "$(free_ram)" -ge $ROOM_KB ]
}

executes() {
    printf '#!/bin/sh\n' > "$1/try" && chmod +x "$1/try" && "$1/try" && rm "$1/try"
}

if in_ram 2> /dev/null; then
    folder=$(mktemp -d /dev/shm/nestling-check-XXXXXX)
    if executes "$folder" 2> /dev/null; then
        echo "$folder"
        exit
    fi
    rm -rf "$folder"
fi
mktemp -d "${TMPDIR:-/tmp}/nestling-check-XXXXXX"
