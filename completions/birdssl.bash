# Written by `python -m birdssl.cli.manual` from the command tree; edits are lost.

_birdssl_words() { COMPREPLY=($(compgen -W "$1" -- "$cur")); }

_birdssl_paths() {
    local IFS=$'\n'
    COMPREPLY=($(compgen "$1" -- "$cur"))
    compopt -o filenames 2>/dev/null
}

_birdssl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]}
    COMPREPLY=()
    if [[ $COMP_CWORD -eq 1 ]]; then
        _birdssl_words "synth segment split augment render pretrain finetune embed evaluate detect demo run ls doctor -h --help --version"
        return
    fi
    if [[ $cur == "=" ]]; then  # readline splits --option=value at the sign
        cur=""
    elif [[ $prev == "=" ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    case "$verb $prev" in
        "synth --hours") :; return ;;
        "synth -m" | "synth --recording-minutes") :; return ;;
        "synth --sites") :; return ;;
        "synth --recorders") :; return ;;
        "synth --species") :; return ;;
        "synth --sample-rate") :; return ;;
        "synth --calls-per-minute") :; return ;;
        "synth --min-snr") :; return ;;
        "synth --seed") :; return ;;
        "synth -o" | "synth --out") _birdssl_paths -d; return ;;
        "synth --config") _birdssl_paths -f; return ;;
        "synth -j" | "synth --jobs") :; return ;;
        "synth --device") _birdssl_words "auto cpu cuda mps"; return ;;
        "synth --max-rejects") :; return ;;
        "segment -r" | "segment --sample-rate") :; return ;;
        "segment --clip-seconds") :; return ;;
        "segment --hop-seconds") :; return ;;
        "segment --channel") :; return ;;
        "segment --last") _birdssl_words "pad drop"; return ;;
        "segment --min-last") :; return ;;
        "segment --label-from") _birdssl_words "none folder raven audacity csv"; return ;;
        "segment --labels") _birdssl_paths -f; return ;;
        "segment --label-column") :; return ;;
        "segment --label") :; return ;;
        "segment --file-column") :; return ;;
        "segment --origin-column") :; return ;;
        "segment --fold-column") :; return ;;
        "segment --site-column") :; return ;;
        "segment --min-overlap") :; return ;;
        "segment --min-overlap-fraction") :; return ;;
        "segment --site-from") _birdssl_words "auto name folder none"; return ;;
        "segment -o" | "segment --out") _birdssl_paths -d; return ;;
        "segment --files-from") _birdssl_paths -f; return ;;
        "segment --config") _birdssl_paths -f; return ;;
        "segment -j" | "segment --jobs") :; return ;;
        "segment --device") _birdssl_words "auto cpu cuda mps"; return ;;
        "segment --max-rejects") :; return ;;
        "split --test-fraction") :; return ;;
        "split --folds") :; return ;;
        "split --group") _birdssl_words "origin site day none"; return ;;
        "split --folds-from") _birdssl_paths -f; return ;;
        "split --file-column") :; return ;;
        "split --fold-column") :; return ;;
        "split --test-fold") :; return ;;
        "split --repeats") :; return ;;
        "split --repeat") :; return ;;
        "split --seed") :; return ;;
        "split -o" | "split --out") _birdssl_paths -d; return ;;
        "split --config") _birdssl_paths -f; return ;;
        "split -j" | "split --jobs") :; return ;;
        "split --device") _birdssl_words "auto cpu cuda mps"; return ;;
        "split --max-rejects") :; return ;;
        "augment --balance") :; return ;;
        "augment --views") :; return ;;
        "augment --stretch") :; return ;;
        "augment --pitch") :; return ;;
        "augment --noise") :; return ;;
        "augment --seed") :; return ;;
        "augment -o" | "augment --out") _birdssl_paths -d; return ;;
        "augment --config") _birdssl_paths -f; return ;;
        "augment -j" | "augment --jobs") :; return ;;
        "augment --device") _birdssl_words "auto cpu cuda mps"; return ;;
        "augment --max-rejects") :; return ;;
        "render --kind") _birdssl_words "spectrogram waveform"; return ;;
        "render -r" | "render --sample-rate") :; return ;;
        "render --n-fft") :; return ;;
        "render --hop") :; return ;;
        "render --n-mels") :; return ;;
        "render --f-min") :; return ;;
        "render --f-max") :; return ;;
        "render --top-db") :; return ;;
        "render --normalise") _birdssl_words "clip range"; return ;;
        "render -s" | "render --size") :; return ;;
        "render --height") :; return ;;
        "render --width") :; return ;;
        "render --shard-rows") :; return ;;
        "render --sheet") :; return ;;
        "render -o" | "render --out") _birdssl_paths -d; return ;;
        "render --config") _birdssl_paths -f; return ;;
        "render -j" | "render --jobs") :; return ;;
        "render --device") _birdssl_words "auto cpu cuda mps"; return ;;
        "render --max-rejects") :; return ;;
        "pretrain --fold") :; return ;;
        "pretrain --validation-fraction") :; return ;;
        "pretrain -e" | "pretrain --epochs") :; return ;;
        "pretrain -b" | "pretrain --batch-size") :; return ;;
        "pretrain --optimiser") _birdssl_words "sgd adam rmsprop lars"; return ;;
        "pretrain --learning-rate") :; return ;;
        "pretrain --momentum") :; return ;;
        "pretrain --weight-decay") :; return ;;
        "pretrain --schedule") _birdssl_words "constant cosine"; return ;;
        "pretrain --warmup-epochs") :; return ;;
        "pretrain --precision") _birdssl_words "auto fp32 bf16"; return ;;
        "pretrain --threads") :; return ;;
        "pretrain --memory-budget") :; return ;;
        "pretrain --seed") :; return ;;
        "pretrain -O" | "pretrain --objective") _birdssl_words "barlow-twins vicreg vicreg-algorithm1 vicreg-equation"; return ;;
        "pretrain -E" | "pretrain --encoder") _birdssl_words "simplecnn mobilenetv3-large resnet50 inceptionv3"; return ;;
        "pretrain --pool") _birdssl_words "flatten gap"; return ;;
        "pretrain --projector-width") :; return ;;
        "pretrain --projector-layers") :; return ;;
        "pretrain --redundancy") :; return ;;
        "pretrain --invariance") :; return ;;
        "pretrain --variance") :; return ;;
        "pretrain --covariance") :; return ;;
        "pretrain -o" | "pretrain --out") _birdssl_paths -d; return ;;
        "pretrain --config") _birdssl_paths -f; return ;;
        "pretrain -j" | "pretrain --jobs") :; return ;;
        "pretrain --device") _birdssl_words "auto cpu cuda mps"; return ;;
        "pretrain --max-rejects") :; return ;;
        "finetune --fold") :; return ;;
        "finetune --validation-fraction") :; return ;;
        "finetune -e" | "finetune --epochs") :; return ;;
        "finetune -b" | "finetune --batch-size") :; return ;;
        "finetune --optimiser") _birdssl_words "sgd adam rmsprop lars"; return ;;
        "finetune --learning-rate") :; return ;;
        "finetune --momentum") :; return ;;
        "finetune --weight-decay") :; return ;;
        "finetune --schedule") _birdssl_words "constant cosine"; return ;;
        "finetune --warmup-epochs") :; return ;;
        "finetune --precision") _birdssl_words "auto fp32 bf16"; return ;;
        "finetune --threads") :; return ;;
        "finetune --memory-budget") :; return ;;
        "finetune --seed") :; return ;;
        "finetune -s" | "finetune --start") :; return ;;
        "finetune --weights") _birdssl_paths -f; return ;;
        "finetune -E" | "finetune --encoder") _birdssl_words "simplecnn mobilenetv3-large resnet50 inceptionv3"; return ;;
        "finetune --pool") _birdssl_words "flatten gap"; return ;;
        "finetune --train-fraction") :; return ;;
        "finetune --balance") :; return ;;
        "finetune --several-labels") _birdssl_words "refuse leave-out"; return ;;
        "finetune -o" | "finetune --out") _birdssl_paths -d; return ;;
        "finetune --config") _birdssl_paths -f; return ;;
        "finetune -j" | "finetune --jobs") :; return ;;
        "finetune --device") _birdssl_words "auto cpu cuda mps"; return ;;
        "finetune --max-rejects") :; return ;;
        "embed -m" | "embed --model") _birdssl_paths -d; return ;;
        "embed --features") _birdssl_words "mel-statistics"; return ;;
        "embed --layer") _birdssl_words "penultimate encoder"; return ;;
        "embed --roles") :; return ;;
        "embed --batch") :; return ;;
        "embed -o" | "embed --out") _birdssl_paths -d; return ;;
        "embed --config") _birdssl_paths -f; return ;;
        "embed -j" | "embed --jobs") :; return ;;
        "embed --device") _birdssl_words "auto cpu cuda mps"; return ;;
        "embed --max-rejects") :; return ;;
        "evaluate --on") _birdssl_words "test validation"; return ;;
        "evaluate --name") :; return ;;
        "evaluate --classes") :; return ;;
        "evaluate --baseline") :; return ;;
        "evaluate --probe") _birdssl_words "linear knn centroid"; return ;;
        "evaluate --train-ids") _birdssl_paths -d; return ;;
        "evaluate --several-labels") _birdssl_words "refuse leave-out"; return ;;
        "evaluate --shared-origins") _birdssl_words "refuse leave-out accept"; return ;;
        "evaluate --draws") :; return ;;
        "evaluate --level") :; return ;;
        "evaluate --projection-clips") :; return ;;
        "evaluate --seed") :; return ;;
        "evaluate -o" | "evaluate --out") _birdssl_paths -d; return ;;
        "evaluate --config") _birdssl_paths -f; return ;;
        "evaluate -j" | "evaluate --jobs") :; return ;;
        "evaluate --device") _birdssl_words "auto cpu cuda mps"; return ;;
        "evaluate --max-rejects") :; return ;;
        "detect -m" | "detect --model") _birdssl_paths -d; return ;;
        "detect --hop-seconds") :; return ;;
        "detect --threshold") :; return ;;
        "detect --merge-gap") :; return ;;
        "detect --ignore") :; return ;;
        "detect --channel") _birdssl_words "mix each"; return ;;
        "detect --batch") :; return ;;
        "detect -o" | "detect --out") _birdssl_paths -d; return ;;
        "detect --files-from") _birdssl_paths -f; return ;;
        "detect --config") _birdssl_paths -f; return ;;
        "detect -j" | "detect --jobs") :; return ;;
        "detect --device") _birdssl_words "auto cpu cuda mps"; return ;;
        "detect --max-rejects") :; return ;;
        "demo -o" | "demo --out") _birdssl_paths -d; return ;;
        "demo -j" | "demo --jobs") :; return ;;
        "demo --device") _birdssl_words "auto cpu cuda mps"; return ;;
        "demo --max-rejects") :; return ;;
        "run --only") :; return ;;
        "run -o" | "run --out") _birdssl_paths -d; return ;;
        "run -j" | "run --jobs") :; return ;;
        "run --device") _birdssl_words "auto cpu cuda mps"; return ;;
        "run --max-rejects") :; return ;;
        "ls -f" | "ls --format") _birdssl_words "table tsv csv jsonl"; return ;;
        "ls -c" | "ls --columns") :; return ;;
        "ls -w" | "ls --where") :; return ;;
        "ls -n" | "ls --rows") :; return ;;
    esac
    if [[ $cur == -* ]]; then
        case "$verb" in
            synth) _birdssl_words "--hours -m --recording-minutes --sites --recorders --species --sample-rate --calls-per-minute --min-snr --seed -o --out --config -j --jobs --device --update --overwrite --dry-run --max-rejects --json -q --quiet -h --help" ;;
            segment) _birdssl_words "-r --sample-rate --clip-seconds --hop-seconds --channel --last --min-last --reference --label-from --labels --label-column --label --file-column --origin-column --fold-column --site-column --min-overlap --min-overlap-fraction --mark-none --site-from -o --out --files-from -0 --null --config -j --jobs --device --update --overwrite --dry-run --max-rejects --json -q --quiet -h --help" ;;
            split) _birdssl_words "--test-fraction --folds --group --official --folds-from --file-column --fold-column --test-fold --repeats --repeat --seed -o --out --config -j --jobs --device --update --overwrite --dry-run --max-rejects --json -q --quiet -h --help" ;;
            augment) _birdssl_words "--balance --views --test-views --stretch --pitch --noise --audio --seed -o --out --config -j --jobs --device --update --overwrite --dry-run --max-rejects --json -q --quiet -h --help" ;;
            render) _birdssl_words "--kind -r --sample-rate --n-fft --hop --n-mels --f-min --f-max --top-db --normalise -s --size --height --width --shard-rows --png --sheet -o --out --config -j --jobs --device --update --overwrite --dry-run --max-rejects --json -q --quiet -h --help" ;;
            pretrain) _birdssl_words "--fold --validation-fraction -e --epochs -b --batch-size --optimiser --learning-rate --momentum --weight-decay --schedule --warmup-epochs --precision --threads --memory-budget --seed -O --objective -E --encoder --pool --double-rescale --projector-width --projector-layers --projector-bias --redundancy --invariance --variance --covariance --shuffle-pairs -o --out --config -j --jobs --device --update --overwrite --dry-run --max-rejects --json -q --quiet -h --help" ;;
            finetune) _birdssl_words "--fold --validation-fraction -e --epochs -b --batch-size --optimiser --learning-rate --momentum --weight-decay --schedule --warmup-epochs --precision --threads --memory-budget --seed -s --start --weights -E --encoder --pool --imagenet-norm --double-rescale --freeze --train-fraction --balance --several-labels --allow-overlap -o --out --config -j --jobs --device --update --overwrite --dry-run --max-rejects --json -q --quiet -h --help" ;;
            embed) _birdssl_words "-m --model --features --layer --roles --batch -o --out --config -j --jobs --device --update --overwrite --dry-run --max-rejects --json -q --quiet -h --help" ;;
            evaluate) _birdssl_words "--on --name --classes --baseline --probe --train-ids --several-labels --shared-origins --draws --level --projection-clips --seed -o --out --config -j --jobs --device --update --overwrite --dry-run --max-rejects --json -q --quiet -h --help" ;;
            detect) _birdssl_words "-m --model --hop-seconds --threshold --merge --no-merge --merge-gap --ignore --channel --batch -o --out --files-from -0 --null --config -j --jobs --device --update --overwrite --dry-run --max-rejects --json -q --quiet -h --help" ;;
            demo) _birdssl_words "-o --out -j --jobs --device --update --overwrite --dry-run --max-rejects --json -q --quiet -h --help" ;;
            run) _birdssl_words "--only -o --out -j --jobs --device --update --overwrite --dry-run --max-rejects --json -q --quiet -h --help" ;;
            ls) _birdssl_words "-f --format -c --columns -w --where -n --rows --rejects --stage --json -h --help" ;;
            doctor) _birdssl_words "--json -h --help" ;;
        esac
        return
    fi
    case "$verb" in
        segment) _birdssl_paths -f ;;
        split) _birdssl_paths -d ;;
        augment) _birdssl_paths -d ;;
        render) _birdssl_paths -d ;;
        pretrain) _birdssl_paths -d ;;
        finetune) _birdssl_paths -d ;;
        embed) _birdssl_paths -d ;;
        evaluate) _birdssl_paths -d ;;
        detect) _birdssl_paths -f ;;
        run) _birdssl_paths -f ;;
        ls) _birdssl_paths -d ;;
    esac
}

complete -F _birdssl birdssl
