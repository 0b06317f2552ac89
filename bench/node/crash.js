throw new Error('a version that cannot start')
