"""What MkDocs calls while it builds the site: it adds the reference pages, which are in no file of the repository."""

from mkdocs.structure.files import File

from docs.scripts import reference


def on_config(config):
    config.reference = list(reference.pages())
    designs, modules = (
        [{title: path} for path, title, _ in config.reference if path.startswith("reference/designs") is of_designs]
        for of_designs in (True, False)
    )
    config.nav += [{"Designs": designs}, {"NumPy models": modules}]
    return config


def on_files(files, config):
    for path, _, text in config.reference:
        files.append(File.generated(config, path, content=text))
    return files
