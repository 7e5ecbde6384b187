// Clusters every file of samples/ and makes a report of each:
//
//     nextflow run main.nf --batch_key tech

params.input = 'samples/*.h5ad'
params.batch_key = 'tech'
params.outdir = 'results'

process CLUSTER {
    tag "${cells.baseName}"
    publishDir params.outdir, mode: 'copy'
    cpus 2
    memory '4 GB'

    input:
    path cells
    val batch_key

    output:
    path "${cells.baseName}.clustered.h5ad", emit: cells
    path "${cells.baseName}.fcmi", emit: model

    script:
    """
    export OMP_NUM_THREADS=${task.cpus}
    scfcmi cluster ${cells} --batch-key '${batch_key}' \\
        --memory ${task.memory.toMega()}MiB \\
        -o ${cells.baseName}.clustered.h5ad --save-model ${cells.baseName}.fcmi
    """
}

process REPORT {
    tag "${clustered.baseName}"
    publishDir params.outdir, mode: 'copy'

    input:
    path clustered

    output:
    path "${clustered.baseName}.html"

    script:
    """
    scfcmi report ${clustered} -o ${clustered.baseName}.html
    """
}

workflow {
    CLUSTER(channel.fromPath(params.input, checkIfExists: true), params.batch_key)
    REPORT(CLUSTER.out.cells)
}
